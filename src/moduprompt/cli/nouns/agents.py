"""`mpctl agents`: the agent programs that the daemon knows, what is here of them, and what they can do."""

import argparse
from collections.abc import Sequence
from typing import Final

import msgspec

from moduprompt.cli.call import Call
from moduprompt.cli.faults import failed
from moduprompt.cli.limits import in_words
from moduprompt.cli.progress import waiting_for
from moduprompt.cli.tables import Column, to_paragraph, to_table
from moduprompt.cli.verbs import Verb
from moduprompt.protocol import AgentProgram, AgentPrograms, Code, encode

COLUMNS: Final[tuple[Column[AgentProgram], ...]] = (
    ("NAME", lambda agent: agent.name),
    ("LEVEL", lambda agent: agent.level),
    ("PROGRAM", lambda agent: agent.path or (f"{agent.program}: not found" if agent.program else "any")),
    ("SIGNED IN BY", lambda agent: agent.signed_in_by),
    ("CARRIES ON", lambda agent: _carries_on(agent)),
)


async def _list(call: Call) -> None:
    found = await (await call.client()).agents()
    call.show(encode(found), to_table(found.items, COLUMNS))


async def _doctor(call: Call) -> None:
    client = await call.client()
    async with waiting_for("asking the programs for their versions"):
        every = await client.agents(with_versions=True)
    names = call.words.texts("names")
    looked = [_named(every, name) for name in names] or [each for each in every.items if each.program]
    call.show(encode(AgentPrograms(items=tuple(looked))), "\n".join(_diagnosis(each) for each in looked))
    # Without names it is a survey: a program that nobody installed is no fault. With names they are needed.
    ill = [each for each in looked if (names or each.path) and complaints(each)]
    if ill:
        raise failed(
            Code.UNAVAILABLE,
            f"not ready: {', '.join(each.name for each in ill)}",
            hint=complaints(ill[0])[0].hint,
            details={"agents": [each.name for each in ill]},
        )


async def _explain(call: Call) -> None:
    client = await call.client()
    async with waiting_for("asking the program for its version"):
        agent = _named(await client.agents(with_versions=True), call.words.text("name"))
    facts: list[tuple[str, str | int | None]] = [
        ("level", agent.level_meaning),
        ("program", agent.path or agent.program),
        ("version", _version(agent)),
        ("signed in by", agent.signed_in_by or _one_of(agent.signs_in_by)),
        ("carries on", _carries_on(agent)),
        ("is given", ", ".join(agent.variables)),
        ("takes about", f"{agent.memory_bytes // 1024**2} MB" if agent.memory_bytes else None),
    ]
    facts += [(f"--{each.name}", _choices(each.what, each.values, each.default)) for each in agent.options]
    facts.append(("limits of a run", in_words(agent.limits)))
    rules = to_paragraph("its runs are judged by", [(rule.name, rule.meaning) for rule in agent.rules])
    call.show(encode(agent), f"{to_paragraph(agent.name, facts)}\n\n{rules}")


class Complaint(msgspec.Struct, frozen=True):
    """Why a program is of no use as it is, and what to do."""

    what: str
    hint: str


def complaints(agent: AgentProgram) -> Sequence[Complaint]:
    """Everything that hinders its use here; nothing where it is ready."""
    if agent.program is None:
        return ()
    if agent.path is None:
        return (Complaint(f"{agent.program} is not on the daemon's PATH", agent.install),)
    found: list[Complaint] = []
    if agent.fault is not None:
        found.append(Complaint(agent.fault, f"try it by hand: {agent.path} --version"))
    if agent.signs_in_by and agent.signed_in_by is None:
        what = f"it has no credentials: {_one_of(agent.signs_in_by)} is not set for the daemon"
        found.append(
            Complaint(what, f"export {agent.signs_in_by[0]}=…; mpctl daemon stop; mpctl daemon start")
        )
    return found


def _diagnosis(agent: AgentProgram) -> str:
    bad = complaints(agent)
    if agent.path is None and bad:
        return f"- {agent.name}: {bad[0].what}; {bad[0].hint}"
    if not bad:
        return f"✓ {agent.name}: {_version(agent)}, signed in by {agent.signed_in_by}"
    return "\n".join(f"✗ {agent.name}: {each.what}; {each.hint}" for each in bad)


def _named(every: AgentPrograms, name: str) -> AgentProgram:
    for agent in every.items:
        if agent.name == name:
            return agent
    known = ", ".join(each.name for each in every.items)
    raise failed(Code.NOT_FOUND, f"no agent program is named {name[:80]}", hint=f"there are: {known}")


def _version(agent: AgentProgram) -> str | None:
    if agent.version is None:
        return agent.fault
    if agent.version_tested in (None, agent.version):
        return agent.version
    return f"{agent.version} (tested with {agent.version_tested})"


def _carries_on(agent: AgentProgram) -> str | None:
    if not agent.is_resumable:
        return None
    return "from anywhere" if agent.resumes_anywhere else "in the same directory"


def _one_of(names: Sequence[str]) -> str:
    return " or ".join(names)


def _choices(what: str, values: Sequence[str], default: str) -> str:
    words = "|".join(values)
    if not words:
        return what
    return f"{what}: {words}{f' (else {default})' if default else ''}"


def _names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="*", help="only these, and they must be ready")


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="as `agents list` calls it")


VERBS: Final = (
    Verb("list", _list, summary="list the agent programs, and which of them are here"),
    Verb(
        "doctor",
        _doctor,
        summary="ask each program that is here whether it is ready, and say what to do where it is not",
        arguments=_names,
        more="Starts each program once for its version; no model is called.",
    ),
    Verb(
        "explain",
        _explain,
        summary="say what one program can do, what it is given and how its runs are judged",
        arguments=_name,
    ),
)
