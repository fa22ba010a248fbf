"""Which agent programs are here, in which version, and whether they could reach their models.

The adapter says how to learn it (`Probes`); here it is carried out, on the PATH and with the variables that
runs get, in an empty folder that is gone afterwards. A version is asked for once for each file that a
program is: an update changes the file.
"""

import asyncio
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import asdict

from moduprompt.effects.agents.catalogue import ADAPTERS
from moduprompt.effects.agents.judging import RULES
from moduprompt.effects.agents.limits import Limits
from moduprompt.effects.agents.port import LEVELS, AgentAdapter, Probes
from moduprompt.effects.agents.surroundings import run_environment
from moduprompt.effects.execution import execute
from moduprompt.protocol import AgentOption, AgentProgram, AgentPrograms, AgentRule

VERSION_S: Final = 30.0  # node programs take two seconds, on a busy machine ten
VERSION_BYTES_MAX: Final = 16 * 1024  # one line is expected; some print a welcome above it
VERSION: Final = re.compile(r"\d+\.\d+[\w.+-]{0,40}")
FAULT_CHARS_MAX: Final = 200  # the first line of what it says instead


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a program answered when it was asked for its version."""

    version: str | None = None
    fault: str | None = None


class LocalPrograms:
    """The programs on this machine, as runs would find them."""

    def __init__(
        self,
        *,
        path: str,
        variables: Mapping[str, str],
        limits: Mapping[str, Limits] | None = None,
        within_s: float = VERSION_S,
    ) -> None:
        self._path = path
        self._variables = variables
        self._limits = limits or {}
        self._within_s = within_s
        self._asked: dict[tuple[str, int, int], Found] = {}
        self._one_at_a_time = asyncio.Lock()

    async def look(self, *, with_versions: bool) -> AgentPrograms:
        """All adapters; with versions it takes some seconds the first time."""
        return AgentPrograms(
            items=tuple([await self._about(each, with_version=with_versions) for each in ADAPTERS])
        )

    async def _about(self, adapter: AgentAdapter, *, with_version: bool) -> AgentProgram:
        probes = adapter.probes
        path = shutil.which(probes.program, path=self._path) if probes else None
        found = await self._version(path, probes) if with_version and path and probes else Found()
        wanted = probes.signed_in if probes else ()
        return AgentProgram(
            name=adapter.name,
            level=adapter.level,
            level_meaning=LEVELS[adapter.level],
            program=probes.program if probes else None,
            path=path,
            version=found.version,
            version_tested=probes.version_pinned if probes else None,
            fault=found.fault,
            signs_in_by=wanted,
            signed_in_by=next((name for name in wanted if self._variables.get(name)), None),
            install=probes.install if probes else "",
            is_resumable=adapter.resuming.is_possible,
            resumes_anywhere=adapter.resuming.from_anywhere or adapter.resuming.folder_of is not None,
            names_conversations=adapter.resuming.is_named_by_us,
            options=tuple(
                AgentOption(name=each.name, what=each.what, values=each.values, default=each.default)
                for each in adapter.options
            ),
            variables=tuple(adapter.variables),
            rules=tuple(AgentRule(name=name, meaning=RULES[name]) for name in adapter.rules),
            limits=_to_numbers(self._limits.get(adapter.name, adapter.limits)),
            memory_bytes=adapter.memory_bytes,
        )

    async def _version(self, path: str, probes: Probes) -> Found:
        try:
            file = await asyncio.to_thread(Path(path).stat)
        except OSError as gone:
            return Found(fault=gone.strerror or "it can't be read")
        key = (path, file.st_mtime_ns, file.st_size)
        async with self._one_at_a_time:  # each takes a core while it starts
            if key not in self._asked:
                self._asked = {each: found for each, found in self._asked.items() if each[0] != path}
                self._asked[key] = await self._ask(path, probes)
            return self._asked[key]

    async def _ask(self, path: str, probes: Probes) -> Found:
        with tempfile.TemporaryDirectory(prefix="mp-probe-", ignore_cleanup_errors=True) as home:
            environment = run_environment(home=home, commands_dir=Path(home), variables={}, path=self._path)
            try:
                said = await execute(
                    (path, *probes.version),
                    env=environment,
                    cwd=home,
                    within_s=self._within_s,
                    stdout_bytes_max=VERSION_BYTES_MAX,
                )
            except TimeoutError:
                return Found(fault=f"it did not say its version within {self._within_s:g} s")
            except OSError as broken:
                return Found(fault=f"it can't be started: {broken.strerror}")
        # Some say it where other programs complain: pi does.
        texts = (each.decode("utf-8", "replace") for each in (said.stdout, said.stderr))
        found = next(filter(None, map(VERSION.search, texts)), None)
        if said.code == 0 and found:
            return Found(version=found[0])
        words = (said.stderr or said.stdout).decode("utf-8", "replace").strip().partition("\n")[0]
        return Found(fault=f"exit status {said.code}: {words}"[:FAULT_CHARS_MAX])


def _to_numbers(limits: Limits) -> dict[str, float]:
    values: dict[str, float | None] = asdict(limits)
    return {name: value for name, value in values.items() if value is not None}
