"""The golden files of the live view: a saved history, and the pictures and lines it makes."""

from collections.abc import Iterable, Mapping

from moduprompt.cli.live.lines import to_line
from moduprompt.cli.live.picture import Size
from moduprompt.cli.live.player import Frame, play
from moduprompt.cli.live.spans import to_ascii, to_coloured
from tests.support.demo_history import demo_history

SIZES: tuple[Size, ...] = (
    Size(columns=40, rows=16),
    Size(columns=60),
    Size(columns=80, rows=24),
    Size(columns=100),
    Size(columns=132, rows=40),
)
MOMENTS: tuple[int, ...] = (1, 6, 9, 20, 33, 36, 44, 57, 65, 67)
"""The first event; a worktree made; a run asked for; a child; a question; its answer on
the way; a commit; the gate with a refusal; the merge; the end."""


def histories() -> Mapping[str, bytes]:
    """What `events watch --json` would have saved."""
    return {"demo.ndjson": demo_history().to_ndjson()}


def pictures() -> Mapping[str, bytes]:
    """A file a size with the pictures of the moments; one in colours; one in ASCII; all lines."""
    saved = histories()["demo.ndjson"]
    films = {name(size): list(play([saved], size)) for size in SIZES}
    files = {
        f"demo-{key}.txt": _album((f.seq, f.text()) for f in _moments(film)) for key, film in films.items()
    }
    wide = films["100"]
    files["demo-100-coloured.txt"] = _album((f.seq, _visible(f)) for f in _moments(wide))
    files["demo-100-ascii.txt"] = _album((f.seq, to_ascii(f.text())) for f in _moments(wide))
    files["demo-lines.txt"] = "".join(f"{to_line(frame.change)}\n" for frame in wide).encode()
    return files


def name(size: Size) -> str:
    """`80x24`, or `100` for as many rows as it takes."""
    return f"{size.columns}" if size.rows is None else f"{size.columns}x{size.rows}"


def _moments(film: Iterable[Frame]) -> Iterable[Frame]:
    return (frame for frame in film if frame.seq in MOMENTS)


def _visible(frame: Frame) -> str:
    """The styled lines with the escape character shown, so that a diff can be read."""
    return "".join(to_coloured(line).replace("\x1b", "␛") + "\n" for line in frame.lines)


def _album(shots: Iterable[tuple[int, str]]) -> bytes:
    return "".join(f"#### seq {seq}\n{text}" for seq, text in shots).encode()
