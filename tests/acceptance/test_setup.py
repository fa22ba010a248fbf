"""The set-up as a newcomer meets it: a clone of this repository's HEAD in a folder whose name has a space,
an empty home, and an environment that holds nothing but what reaches the package index.

Caches of pip and uv are shared with the machine, so that only the first run downloads anything.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INTERPRETER = Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()
# What a machine needs to reach its package index is the machine's, not ours.
NETWORK = ("PIP_", "UV_INDEX", "UV_DEFAULT_INDEX", "SSL_CERT", "REQUESTS_CA", "HTTP", "ALL_PROXY", "NO_PROXY")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Machine:
    """A fresh clone, with the few programs the project asks for."""

    def __init__(self, folder: Path) -> None:
        self.clone = folder / "a clone"
        self.home = folder / "home"
        self.programs = folder / "bin"
        self.home.mkdir()
        self.programs.mkdir()
        (self.programs / "python3").symlink_to(INTERPRETER)
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(self.clone)], check=True)

    def make(self, verb: str, **extra: str) -> subprocess.CompletedProcess[str]:
        with self.start(verb, **extra) as process:
            out, err = process.communicate()
        return subprocess.CompletedProcess(["make", verb], process.returncode, out, err)

    def start(self, verb: str, **extra: str) -> subprocess.Popen[str]:
        command = ["make", *verb.split()]
        environment = self.environment() | extra
        return subprocess.Popen(
            command,
            cwd=self.clone,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def environment(self) -> dict[str, str]:
        network = {name: value for name, value in os.environ.items() if name.upper().startswith(NETWORK)}
        caches = {"PIP_CACHE_DIR": cache_folder("pip"), "UV_CACHE_DIR": cache_folder("uv")}
        return network | caches | {"PATH": f"{self.programs}:{os.defpath}", "HOME": str(self.home)}

    def without(self, *modules: str) -> Mapping[str, str]:
        """An environment in which these modules of the standard library can't be imported."""
        folder = self.home.parent / f"without-{'-'.join(modules)}"
        folder.mkdir(exist_ok=True)
        for module in modules:
            (folder / f"{module}.py").write_text(f"raise ImportError('{module} is not installed')\n")
        return {"PYTHONPATH": str(folder)}

    def python(self, code: str) -> str:
        """What the set-up environment answers."""
        done = subprocess.run(
            [".venv/bin/python", "-c", code], cwd=self.clone, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()


def cache_folder(program: str) -> str:
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return os.environ.get(f"{program.upper()}_CACHE_DIR") or str(Path(caches) / program)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    shutil.rmtree(machine.clone)  # an environment takes hundreds of megabytes


def test_smoke_needs_no_set_up(machine: Machine) -> None:
    done = machine.make("smoke", **machine.without("venv", "ensurepip", "pip"))

    assert (done.returncode, done.stderr) == (0, "")
    assert "smoke: passed" in done.stdout
    assert not (machine.clone / ".venv").exists()


def test_smoke_fails_on_a_fault_and_says_where(machine: Machine) -> None:
    (machine.clone / "src" / "moduprompt" / "odd.py").write_text("x = 1\n")
    (machine.clone / "ODD.md").write_text("a\n[link](gone.md)\n")

    done = machine.make("smoke")

    assert done.returncode == 2
    assert "src/moduprompt/odd.py:1: no module docstring" in done.stdout
    assert "ODD.md:2: link gone.md: no such file" in done.stdout


def test_bare_make_lists_its_verbs(machine: Machine) -> None:
    done = machine.make("")

    assert done.returncode == 0
    assert {"run", "test", "smoke", "clean"} <= {line.split()[0] for line in done.stdout.splitlines() if line}


def test_a_set_up_without_the_venv_module_works_and_a_second_one_changes_nothing(machine: Machine) -> None:
    no_venv = machine.without("venv", "ensurepip")

    first = machine.make("setup", **no_venv)
    before = {path: path.lstat().st_mtime_ns for path in (machine.clone / ".venv").rglob("*")}
    second = machine.make("setup", **no_venv)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert second.stdout == ""
    assert {path: path.lstat().st_mtime_ns for path in before} == before
    assert machine.python("import moduprompt; print(moduprompt.__file__)").startswith(str(machine.clone))
    assert list(machine.home.iterdir()) == []  # caches were named; nothing else may land there
    assert not subprocess.run(
        ["git", "status", "--porcelain"], cwd=machine.clone, capture_output=True, text=True, check=True
    ).stdout


def test_a_set_up_without_pip_and_without_a_home_works(machine: Machine) -> None:
    absent = machine.home / "nobody"

    done = machine.make("setup", HOME=str(absent), **machine.without("pip"))

    assert done.returncode == 0, done.stderr
    assert machine.python("import msgspec; print('here')") == "here"
    assert not absent.exists()


def test_where_uv_reaches_no_index_pip_takes_over(machine: Machine, tmp_path: Path) -> None:
    done = machine.make("setup", UV_OFFLINE="1", UV_CACHE_DIR=str(tmp_path / "empty"))

    assert done.returncode == 0, done.stderr
    assert machine.python("import moduprompt, msgspec, pytest; print('here')") == "here"


def test_two_set_ups_at_once_do_the_work_once(machine: Machine) -> None:
    with machine.start("setup") as one, machine.start("setup") as other:
        outputs = [process.communicate() for process in (one, other)]

    assert (one.returncode, other.returncode) == (0, 0), outputs
    assert sum(out.count("set-up: ready") for out, _ in outputs) == 1


def test_without_pip_and_venv_the_set_up_says_what_to_install(machine: Machine) -> None:
    done = machine.make("setup", **machine.without("pip", "venv", "ensurepip"))

    assert done.returncode == 2
    assert "has neither pip nor a working venv" in done.stderr
    assert "hint: install pip" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (machine.clone / ".venv").exists()


def test_an_interpreter_that_is_too_old_is_refused_in_one_sentence(machine: Machine) -> None:
    old = machine.programs / "python3"
    old.unlink()
    old.write_text("#!/bin/sh\ncase $2 in *print*) echo 3.9.2 ;; *) exit 1 ;; esac\n")
    old.chmod(0o755)

    for verb in ("setup", "smoke"):
        done = machine.make(verb)
        assert done.returncode == 2
        assert "needs Python 3.11 or newer, and 'python3' is 3.9.2." in done.stderr
        assert "hint: " in done.stderr


def test_a_missing_interpreter_is_named(machine: Machine) -> None:
    done = machine.make("setup", PYTHON="python-that-is-not-there")

    assert done.returncode == 2
    assert "'python-that-is-not-there' does not run here" in done.stderr
