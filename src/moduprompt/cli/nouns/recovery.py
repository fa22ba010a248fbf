"""`mpctl recovery`: what the daemon found when it started."""

from typing import Final

from moduprompt.cli.call import Call
from moduprompt.cli.recovered import to_page
from moduprompt.cli.verbs import Verb
from moduprompt.protocol import encode


async def _show(call: Call) -> None:
    found = await (await call.client()).recovery()
    call.show(encode(found), to_page(found))


VERBS: Final = (
    Verb(
        "show",
        _show,
        summary="say what the daemon found when it started, and what it did about it",
        more="Of this start only: what became of a run since then, the log says.",
    ),
)
