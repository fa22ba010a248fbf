"""Writes the golden files again from the code, or with --check says which ones no longer match.

A generator is a function that returns the whole content of a folder of golden files, as relative path →
bytes; this program owns that folder: files that no generator names any more are removed. Add one by adding
its line to GENERATORS. Deterministic generators give the same bytes on every machine; read the diff
before you commit it, because each changed line is a change of what we promised.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Generator(NamedTuple):
    folder: str  # below the project's root, owned by this generator alone; a single page has the name ""
    module: str
    function: str


GENERATORS: tuple[Generator, ...] = (
    Generator("docs/limits.md", "tests.support.limits_page", "limits_page"),
    Generator("tests/golden/metrics", "tests.support.scraping", "metric_names"),
    Generator("tests/golden/cli", "tests.support.cli_help", "helps"),
    Generator("tests/golden/digested", "tests.support.golden_domain", "digested"),
    Generator("tests/golden/domain", "tests.support.golden_domain", "domain"),
    Generator("tests/golden/events", "tests.support.golden_domain", "stored_events"),
    Generator("tests/golden/histories", "tests.support.live_pictures", "histories"),
    Generator("tests/golden/machines", "tests.support.machines", "machines"),
    Generator("tests/golden/pictures", "tests.support.live_pictures", "pictures"),
    Generator("tests/golden/openapi", "tests.support.golden", "openapi_document"),
    Generator("tests/golden/protocol", "tests.support.golden", "public_names"),
    Generator("tests/golden/schemas", "tests.support.golden", "schemas"),
)


def generate(generator: Generator) -> Mapping[str, bytes]:
    function: Callable[[], Mapping[str, bytes]] = getattr(
        importlib.import_module(generator.module), generator.function
    )
    return function()


def differences(folder: Path, wanted: Mapping[str, bytes]) -> dict[Path, bytes | None]:
    """What to write (bytes) or to remove (None) so that the folder holds exactly what is wanted."""
    present = {path for path in folder.rglob("*") if path.is_file()}
    stale: dict[Path, bytes | None] = dict.fromkeys(present - {folder / name for name in wanted})
    for name, content in wanted.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:
            stale[path] = content
    return stale


def write(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the golden files again.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file differs")
    check: bool = parser.parse_args().check
    sys.path.insert(0, str(ROOT))  # generators may live under tests/support
    changes: dict[Path, bytes | None] = {}
    for generator in GENERATORS:
        changes |= differences(ROOT / generator.folder, generate(generator))
    for path, content in sorted(changes.items()):
        print(f"{'remove' if content is None else 'write '} {path.relative_to(ROOT)}")
        if not check:
            write(path, content)
    print(f"golden: {len(GENERATORS)} generators, {len(changes)} files {'differ' if check else 'changed'}")
    return 1 if check and changes else 0


if __name__ == "__main__":
    raise SystemExit(main())
