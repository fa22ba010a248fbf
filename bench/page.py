"""The page of results: machine, table, then for each missed goal by how much, where the time goes, and
what was tried. Pure: it is handed what was measured."""

from typing import Final

import msgspec

from bench.figures import Figure, Goal
from bench.machine import Machine

HEADING: Final = (
    "# Results\n\n"
    "Made by `make bench`; don't edit it. Every ratio is against a yardstick measured in the same run, in turns;\n"
    "each figure is the median of its rounds. Absolute numbers are those of a small, shared machine and move from\n"
    "run to run; the ratios move less. Everything is as durable as it ships."
)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one benchmark came to: figures, or why there are none."""

    name: str
    figures: tuple[Figure, ...] = ()
    failure: str = ""


def page(parts: list[Part], *, machine: Machine, plots: dict[str, str], tried: str) -> str:
    """All of it as Markdown. `plots` maps the name of a figure, or "goals", to its file."""
    figures = [figure for part in parts for figure in part.figures]
    return (
        "\n\n".join(
            section
            for section in (
                HEADING,
                "\n".join(f"- {line}" for line in machine.lines),
                _table(figures),
                _failures(parts),
                _image("Each figure against its goal", plots.get("goals")),
                _notes(figures),
                _missed(figures),
                _curves(figures, plots),
                tried.strip(),
            )
            if section
        )
        + "\n"
    )


def _table(figures: list[Figure]) -> str:
    rows = ["| what | measured | yardstick | ratio | goal | |", "| --- | --- | --- | --- | --- | --- |"]
    return "\n".join((*rows, *(_row(figure) for figure in figures)))


def _row(figure: Figure) -> str:
    against = f"{figure.yardstick:,.0f}, {figure.yardstick_name}" if figure.yardstick else ""
    ratio = f"{figure.ratio:.2f}" if figure.ratio is not None else ""
    met = "" if not figure.goal else "**missed**" if figure.is_missed else "met"
    return f"| {figure.name} | {_number(figure.value)} {figure.unit} | {against} | {ratio} | {figure.goal} | {met} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:,.2f}" if value < 10 else f"{value:,.1f}"


def _failures(parts: list[Part]) -> str:
    failed = [f"- `{part.name}` did not end: {part.failure}" for part in parts if part.failure]
    return "\n".join(("## What could not be measured", "", *failed)) if failed else ""


def _notes(figures: list[Figure]) -> str:
    notes = [f"- {figure.name}: {figure.note}" for figure in figures if figure.note]
    return "\n".join(("## What was compared", "", *notes)) if notes else ""


def _missed(figures: list[Figure]) -> str:
    missed = [figure for figure in figures if figure.is_missed]
    return (
        "\n\n".join(("## Goals that were missed", *(_one_missed(figure) for figure in missed)))
        if missed
        else ""
    )


def _one_missed(figure: Figure) -> str:
    goal = Goal.parse(figure.goal)
    reached = figure.ratio if goal.of_ratio and figure.ratio is not None else figure.value
    said = f"{reached:,.2f} where the goal is {figure.goal}: {100 * figure.of_goal:.0f} % of it."
    if not figure.profile:
        return f"### {figure.name}\n\n{said}"
    rows = [f"| {100 * spent.share:.0f} % | `{spent.where}` |" for spent in figure.profile]
    table = "\n".join(("| of the samples | innermost Python function |", "| --- | --- |", *rows))
    return f"### {figure.name}\n\n{said}\n\n{table}"


def _curves(figures: list[Figure], plots: dict[str, str]) -> str:
    images = [_image(figure.name, plots.get(figure.name)) for figure in figures if figure.curve]
    return "\n\n".join(("## Plots", *filter(None, images))) if any(images) else ""


def _image(caption: str, file: str | None) -> str:
    return f"![{caption}]({file})" if file else ""
