# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# matplotlib is in the environment of the benchmarks only, and describes itself to the checker in parts.
"""Draws the figures: all of them against their goals, and each curve. Small SVG files on no background,
in colours that can be read on a light page and on a dark one."""

import re
from pathlib import Path
from typing import Final

from bench.figures import Curve, Figure

INK: Final = "#7d8590"  # contrast 4 on white and 4.6 on a dark page
MET: Final = "#2da44e"
MISSED: Final = "#e5534b"
LINES: Final = ("#2f81f7", "#d4820a", "#2da44e", "#a371f7", "#e5534b", "#7d8590")
SHOWN_MAX: Final = 10.0  # times the goal; beyond that one bar would squeeze all the others
STYLE: Final[dict[str, str | bool | float]] = {
    "svg.fonttype": "none",  # text stays text: small, and in the reader's font
    "svg.hashsalt": "moduprompt",  # the same data give the same file
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}


def draw(figures: list[Figure], folder: Path) -> dict[str, str]:
    """The files by figure, relative to the folder's parent; none where matplotlib is not installed."""
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        return {}
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    with mpl.rc_context(STYLE):
        drawn = {"goals": _goals(figures, folder / "goals.svg")}
        for figure in figures:
            if figure.curve is not None:
                drawn[figure.name] = _curve(figure.curve, folder / f"{_slug(figure.name)}.svg")
    return {name: f"{folder.name}/{path.name}" for name, path in drawn.items()}


def _goals(figures: list[Figure], path: Path) -> Path:
    """A bar for each: how many times its goal it reaches."""
    from matplotlib.figure import Figure as Sheet

    sheet = Sheet(figsize=(8, 0.6 + 0.26 * len(figures)), layout="constrained")
    axes = sheet.add_subplot()
    shown = [max(0.02, min(SHOWN_MAX, figure.of_goal)) for figure in figures]
    colours = [MISSED if figure.is_missed else MET for figure in figures]
    axes.barh([figure.name for figure in figures], shown, color=colours, height=0.6)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(0.05, SHOWN_MAX)
    ticks = (0.1, 0.2, 0.5, 1, 2, 5, 10)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.axvline(1, color=INK, linewidth=1)
    axes.set_xlabel("times the goal (logarithmic; right of 1 is met, cut off at 10)")
    return _saved(sheet, path)


def _curve(curve: Curve, path: Path) -> Path:
    from matplotlib.figure import Figure as Sheet

    sheet = Sheet(figsize=(6, 3), layout="constrained")
    axes = sheet.add_subplot()
    for (name, points), colour in zip(curve.lines.items(), LINES, strict=False):
        axes.plot([x for x, _ in points], [y for _, y in points], label=name, color=colour, linewidth=1.5)
    if curve.is_log_x:
        axes.set_xscale("log")
    axes.set_xlabel(curve.x)
    axes.set_ylabel(curve.y)
    axes.legend()
    return _saved(sheet, path)


def _saved(sheet: object, path: Path) -> Path:
    sheet.savefig(path, transparent=True, metadata={"Date": None})  # type: ignore[attr-defined]  # a Sheet, see above
    return path


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
