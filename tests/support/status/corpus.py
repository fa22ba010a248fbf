"""The recordings, their labels, and what the keeper said at the time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from moduprompt.effects.runner.packing import pack
from tests.support.source_tree import ROOT
from tests.support.status.truth import Label

CORPUS: Final = ROOT / "tests" / "corpus" / "status"
MADE_ON: Final = ("claude", "codex", "gemini")
"""The programs whose screens the rules were made on; all others were held back."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the keeper said of the terminal from here on, until the next."""

    at_ms: int
    canonical: bool
    echo: bool
    waiting_on_tty: bool
    input_waiting_bytes: int


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """One recording of one program, with the truth beside it."""

    program: str
    version: str
    scenario: str
    duration_ms: int
    labels: tuple[Label, ...]
    facts: tuple[Facts, ...]

    @property
    def folder(self) -> Path:
        return CORPUS / f"{self.program}-{self.version}"

    @property
    def recording(self) -> Path:
        return self.folder / f"{self.scenario}.mprec"


def keep(scene: Scene, recording: Path) -> None:
    """Put it into the corpus."""
    scene.folder.mkdir(parents=True, exist_ok=True)
    pack(recording, scene.recording)
    raw = msgspec.json.format(msgspec.json.encode(scene), indent=1)
    (scene.folder / f"{scene.scenario}.json").write_bytes(raw + b"\n")


def scenes() -> tuple[Scene, ...]:
    """All there are, in order."""
    return tuple(
        msgspec.json.decode(path.read_bytes(), type=Scene) for path in sorted(CORPUS.glob("*/*.json"))
    )
