"""Packs the program as it was at a commit, for tests that let today's daemon meet what it left running.

    python scripts/pack_ancestor.py COMMIT FILE.tar.gz

The same commit gives the same tar inside, byte for byte: order, times, owners and modes are not those of this machine.
It needs the history, so it is run by whoever adds such an archive, and never by the tests.
"""

from __future__ import annotations

import argparse
import gzip
import io
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PART: Final = (
    "src/moduprompt"  # all of it: the daemon of then started its keepers, and made the log they are found by
)


def exported(commit: str) -> bytes:
    """The files of that commit, as git packs them."""
    command = ["git", "archive", "--format=tar", commit, PART]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout


def plain(theirs: bytes) -> bytes:
    """The same files without anything that git or this machine adds to them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(theirs)) as source, tarfile.open(fileobj=packed, mode="w") as target:
        for member in sorted((each for each in source if each.isfile()), key=lambda each: each.name):
            content = source.extractfile(member)
            assert content is not None, f"BUG: {member.name} is a file"
            bare = tarfile.TarInfo(member.name)
            bare.size, bare.mode = member.size, 0o644
            target.addfile(bare, content)
    return packed.getvalue()


def main() -> int:
    """Exit code 0: it is written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit")
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    content = gzip.compress(plain(exported(given.commit)), compresslevel=9, mtime=0)
    given.file.write_bytes(content)
    sys.stdout.write(f"{given.file}: {len(content)} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
