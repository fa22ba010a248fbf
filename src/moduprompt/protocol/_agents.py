"""The answer of `GET /v1/agents`: the agent programs that the daemon knows, and what it found of them here."""

import msgspec


class AgentOption(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A word that a session may give the program: `--name value`. `values`: the only ones; empty: any."""

    name: str
    what: str
    values: tuple[str, ...] = ()
    default: str = ""


class AgentRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule by which the end of its runs is judged, as `run.exited` names it."""

    name: str
    meaning: str


class AgentProgram(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One adapter, with its program as it is here.

    `path`: where the program was found, if it was. `version` is what it says itself, `fault` why it said
    nothing; both only where versions were asked for. `signed_in_by`: the variable of the daemon's
    environment by which it reaches its model, `signs_in_by`: those of which one would do.
    """

    name: str
    level: str
    level_meaning: str
    program: str | None = None
    path: str | None = None
    version: str | None = None
    version_tested: str | None = None
    fault: str | None = None
    signs_in_by: tuple[str, ...] = ()
    signed_in_by: str | None = None
    install: str = ""
    is_resumable: bool = False
    resumes_anywhere: bool = False
    names_conversations: bool = False
    options: tuple[AgentOption, ...] = ()
    variables: tuple[str, ...] = ()
    rules: tuple[AgentRule, ...] = ()
    limits: dict[str, float] = {}
    memory_bytes: int = 0


class AgentPrograms(msgspec.Struct, frozen=True, kw_only=True):
    """All of them, in the order in which the daemon knows them."""

    items: tuple[AgentProgram, ...]
