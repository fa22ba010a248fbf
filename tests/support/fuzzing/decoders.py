"""Everything of ours that reads bytes from outside. A new decoder takes an entry in one of the lists."""

from typing import Final

from tests.support.fuzzing.decoder import Decoder
from tests.support.fuzzing.of_agents import OF_AGENTS
from tests.support.fuzzing.of_keepers import OF_KEEPERS
from tests.support.fuzzing.of_models import OF_MODELS
from tests.support.fuzzing.on_disk import ON_DISK
from tests.support.fuzzing.on_the_wire import ON_THE_WIRE

DECODERS: Final[tuple[Decoder, ...]] = (*ON_THE_WIRE, *OF_KEEPERS, *OF_AGENTS, *OF_MODELS, *ON_DISK)

OUR_OWN: Final[dict[str, str]] = {
    "server.routes.artifacts:gone": "a row that this program wrote, in a file that may be deleted",
    "server.routes.reads:as_of_now": "a row that this program wrote, in a file that may be deleted",
    "kernel.kernel:Kernel._observe": "a row that this program wrote, in a file that may be deleted",
    "storage.sqlite.editions:Editions._load": "a row that this program wrote, in a file that may be deleted",
    "effects.recovery.comparing:_compare_worktrees": "a row that this program wrote, in a file that may be deleted",
    "effects.recovery.comparing:_status": "a row that this program wrote, in a file that may be deleted",
    "keeper.launcher:launch": "what a child of the keeper's own wrote into its pipe",
}
"""Readers of what nobody else can have written, each with the reason."""
