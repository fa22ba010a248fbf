"""The scripted model as a witness: which prompts a real program has sent it, each how often, in which order.

A prompt is written so that it can be counted: it has a number between two marks, and what stands behind them is its text.
A program sends its whole conversation each time, so the longest request tells of all its prompts.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import msgspec

from moduprompt.scripted_model.conversation import Said
from moduprompt.scripted_model.routes import Route
from moduprompt.scripted_model.server import Handler, ModelServer

MARKED: Final = re.compile(r"\[#(\d+)#\](.*?)\[#end#\]", re.DOTALL)
SCRIPT: Final = ' SCRIPT[{"text":"ok"}]ENDSCRIPT'


def marked(number: int, words: str) -> str:
    """A prompt that can be counted."""
    return f"[#{number}#]{words}[#end#]{SCRIPT}"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt as the model was told it; `beside`: how many stood in the same message."""

    number: int
    words: str
    beside: int


class Listening(Handler):
    """Remembers what it is asked."""

    server: Witness  # pyright: ignore[reportIncompatibleVariableOverride] - the base class knows no narrower one

    def _answer(self, route: Route, body: dict[str, object], *, size: int) -> None:
        told = route.told(route.dialect.read(body), size=size)
        if told.offers:  # without tools it is a side call: a title, a summary
            self.server.take(tuple(each.text for each in told.history if isinstance(each, Said)))
        super()._answer(route, body, size=size)


class Witness(ModelServer):
    """The scripted model, and what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.RequestHandlerClass = Listening
        self._lock = threading.Lock()
        self._longest: tuple[str, ...] = ()
        self.requests = 0

    def take(self, texts: tuple[str, ...]) -> None:
        """The user's texts of one request."""
        with self._lock:
            self.requests += 1
            if sum(map(len, texts)) >= sum(map(len, self._longest)):
                self._longest = texts

    def found(self) -> list[Found]:
        """The prompts of the conversation, in order."""
        with self._lock:
            texts = self._longest
        found: list[Found] = []
        for text in texts:
            here = MARKED.findall(text)
            found += [Found(number=int(number), words=words, beside=len(here)) for number, words in here]
        return found

    def counts(self) -> Counter[int]:
        """How often each number was told."""
        return Counter(each.number for each in self.found())


@contextmanager
def witnessing() -> Generator[Witness]:
    """A server for the time of the block."""
    server = Witness()
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        serving.join()
