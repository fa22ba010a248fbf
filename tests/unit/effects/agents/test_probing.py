"""Which agent programs are here: found as runs would find them, asked once, never waited for without end."""

from pathlib import Path

from moduprompt.effects.agents.catalogue import ADAPTERS
from moduprompt.effects.agents.limits import Limits
from moduprompt.effects.agents.probing import LocalPrograms
from moduprompt.protocol import AgentProgram
from tests.support.daemon import is_alive

SYSTEM = "/usr/bin:/bin"


def put(folder: Path, name: str, script: str) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def programs(folder: Path, **variables: str) -> LocalPrograms:
    return LocalPrograms(path=f"{folder}:{SYSTEM}", variables=variables)


async def look(shelf: LocalPrograms, name: str) -> AgentProgram:
    return next(each for each in (await shelf.look(with_versions=True)).items if each.name == name)


async def test_a_program_that_is_here_says_its_version(tmp_path: Path) -> None:
    program = put(tmp_path, "claude", "echo '2.1.197 (Claude Code)'")
    found = await look(programs(tmp_path, ANTHROPIC_AUTH_TOKEN="t"), "claude")
    assert (found.path, found.version, found.fault) == (str(program), "2.1.197", None)
    assert found.signed_in_by == "ANTHROPIC_AUTH_TOKEN"


async def test_a_version_counts_wherever_a_program_says_it(tmp_path: Path) -> None:
    put(tmp_path, "pi", "echo 0.73.1 >&2")
    found = await look(programs(tmp_path), "pi")
    assert (found.version, found.fault) == ("0.73.1", None)


async def test_who_can_be_carried_on_elsewhere_is_told_so_whether_as_it_lies_or_as_a_copy(
    tmp_path: Path,
) -> None:
    every = (await programs(tmp_path).look(with_versions=False)).items
    assert {each.name for each in every if each.resumes_anywhere} == {"claude", "codex"}


async def test_a_program_that_is_not_here_is_asked_nothing(tmp_path: Path) -> None:
    found = await look(LocalPrograms(path=str(tmp_path), variables={}), "codex")
    assert (found.program, found.path, found.version, found.signed_in_by) == ("codex", None, None, None)
    assert found.install


async def test_every_adapter_is_told_of_with_its_rules(tmp_path: Path) -> None:
    found = (await programs(tmp_path).look(with_versions=False)).items
    assert [each.name for each in found] == [each.name for each in ADAPTERS]
    assert all(rule.meaning for each in found for rule in each.rules)


async def test_a_program_is_asked_again_only_when_its_file_is_another(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    put(tmp_path, "codex", f"echo x >> {asked}; echo codex-cli 0.169.0")
    shelf = programs(tmp_path)
    assert (await look(shelf, "codex")).version == (await look(shelf, "codex")).version == "0.169.0"
    assert asked.read_text() == "x\n"
    put(tmp_path, "codex", f"echo x >> {asked}; echo codex-cli 0.170.0-alpha.1")
    assert (await look(shelf, "codex")).version == "0.170.0-alpha.1"


async def test_a_program_that_fails_is_told_in_its_own_words(tmp_path: Path) -> None:
    put(tmp_path, "pi", "echo 'Node 22 is needed, not 20.1' >&2; exit 3")
    found = await look(programs(tmp_path), "pi")
    assert (found.version, found.fault) == (None, "exit status 3: Node 22 is needed, not 20.1")


async def test_a_program_that_says_nothing_is_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    put(tmp_path, "gemini", f"echo $$ > {pid}; exec cat /dev/zero > /dev/null")
    shelf = LocalPrograms(path=f"{tmp_path}:{SYSTEM}", variables={}, within_s=0.2)
    found = await look(shelf, "gemini")
    assert found.fault == "it did not say its version within 0.2 s"
    assert not pid.exists() or not is_alive(int(pid.read_text()))


async def test_a_program_that_can_not_be_started_is_told_so(tmp_path: Path) -> None:
    put(tmp_path, "opencode", "").write_bytes(b"#!/no/such/interpreter\n")
    found = await look(programs(tmp_path), "opencode")
    assert found.fault is not None
    assert found.fault.startswith("it can't be started")


async def test_a_version_is_asked_for_without_the_credentials(tmp_path: Path) -> None:
    put(
        tmp_path,
        "claude",
        'echo "1.2.3${ANTHROPIC_API_KEY}"; case "$HOME" in */mp-probe-*) ;; *) exit 9;; esac',
    )
    found = await look(programs(tmp_path, ANTHROPIC_API_KEY="secret"), "claude")
    assert (found.version, found.fault) == ("1.2.3", None)


async def test_limits_are_told_as_somebody_has_set_them(tmp_path: Path) -> None:
    shelf = LocalPrograms(path=str(tmp_path), variables={}, limits={"pi": Limits(wall_s=60.0)})
    found = {each.name: each.limits for each in (await shelf.look(with_versions=False)).items}
    assert found["pi"] == {"wall_s": 60.0}
    assert found["claude"]["wall_s"] > 60.0
