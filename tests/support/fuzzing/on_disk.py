"""What is read from files and programs of this machine: settings, scripts, bundles, git's own words."""

import io
from typing import Final
from unicodedata import category

from moduprompt.cli.daemons import read_daemon_file
from moduprompt.cli.faults import CallFailed
from moduprompt.cli.nouns.task import read_stages
from moduprompt.cli.recordings import LastLines
from moduprompt.cli.terminal_text import Cleaner
from moduprompt.config import Choices, ConfigRefused, DaemonFile, load_config
from moduprompt.effects.git.parse import Garbled, parse_status, parse_worktrees
from moduprompt.effects.runner.status.rules import RulesRefused, read_rules
from moduprompt.effects.screen.screen import Screen
from moduprompt.protocol import encode
from moduprompt.scripted.script import Fault, parse_script
from moduprompt.storage.bundle import BLOCK, Bundle, BundleRefused, to_header
from tests.support.bundles import a_bundle
from tests.support.fuzzing.decoder import Decoder
from tests.support.fuzzing.of_keepers import a_file
from tests.support.samples import SAMPLE_TIME

DAEMON_JSON: Final = encode(
    DaemonFile(addr="", socket="/s", token="t", pid=1, db_path="/d", started_at=SAMPLE_TIME, version="1")
)
OID: Final = b"3f786850e387550fdab836ed7e6dc881de23001b"
STATUS: Final = b"\0".join(
    (
        b"# branch.oid " + OID,
        b"# branch.head main",
        b"1 M. N... 100644 100644 100644 " + OID + b" " + OID + b" a",
        b"2 R. N... 100644 100644 100644 " + OID + b" " + OID + b" R100 b\0c",
        b"u UU N... 100644 100644 100644 100644 " + OID + b" " + OID + b" " + OID + b" d",
        b"? e",
        b"",
    )
)
WORKTREES: Final = (
    b"worktree /r\0HEAD " + OID + b"\0branch refs/heads/main\0\0worktree /t\0detached\0locked why\0\0"
)
SCRIPT: Final = b"""[[step]]
say = "hello {prompt}"
[[step]]
run = ["make", "test"]
expect = 2
timeout_s = 1.5
[[step]]
write = { path = "a.txt", text = "x" }
[[step]]
ask = "what?"
name = "it"
"""
BUNDLE: Final = a_bundle()
MANIFEST: Final = BUNDLE[BLOCK : BLOCK + int(BUNDLE[124:135], 8)]
RULES: Final = b"""version = 1
program = "it"
[[rules]]
name = "one"
status = "working"
why = "because"
when = [{ in = "bottom", lines = 3, has = "x" }, { in = "title", hasnt = "(?P<retry_s>y+)" }]
cursor_shown = true
quiet_ms_min = 5
"""
CONFIG: Final = b'data_dir = "/data"\nruntime_dir = "/run/x"\nlisten = "127.0.0.1:1"\n'
STAGES: Final = (
    b'[[stages]]\nname = "plan"\nkind = "plan"\n',
    b'{"stages":[{"name":"plan","kind":"plan"}]}',
)


def read_bundle(data: bytes) -> object:
    """All of it."""
    bundle = Bundle(io.BytesIO(data))
    for piece in bundle.manifest.artifacts:
        bundle.check_artifact(piece)
    return list(bundle.lines())


def in_bundle(manifest: bytes) -> bytes:
    """A bundle that begins with this manifest, whatever it is."""
    entry = to_header("manifest.json", len(manifest)) + manifest + bytes(-len(manifest) % BLOCK)
    return entry + BUNDLE[BLOCK + len(MANIFEST) + (-len(MANIFEST) % BLOCK) :]


def read_settings(data: bytes) -> object:
    """`config.toml` where it is looked for."""
    with a_file(data, "config.toml") as path:
        home = path.parent / "moduprompt"
        home.mkdir()
        path.rename(home / "config.toml")
        return load_config(Choices(), {"XDG_CONFIG_HOME": str(path.parent), "HOME": "/h"})


def read_daemon_json(data: bytes) -> object:
    """`daemon.json` where it is looked for."""
    with a_file(data, "daemon.json") as path:
        config = load_config(Choices(data_dir="/d", runtime_dir=str(path.parent)), {"HOME": "/h"})
        return read_daemon_file(config)


def read_stages_file(data: bytes) -> object:
    """In both forms."""
    found: list[object] = []
    for name in ("stages.toml", "stages.json"):
        with a_file(data, name) as path:
            try:
                found.append(read_stages(path))
            except CallFailed:
                continue
    return found


def last_lines(data: bytes) -> object:
    """At most so many lines, fed in two pieces; all bytes are counted."""
    lines, half = LastLines(3), len(data) // 2
    lines.feed(data[:half])
    lines.feed(data[half:])
    last = lines.finish()
    assert lines.taken_bytes == len(data)
    assert len(last) <= 3
    return last


def cleaned(data: bytes) -> object:
    """What a terminal printed, in two pieces; nothing of it may move a cursor."""
    cleaner, half = Cleaner(), len(data) // 2
    shown = cleaner.feed(data[:half]) + cleaner.feed(data[half:])
    assert "\x1b" not in shown
    return shown


ACTING: Final = {"Cc", "Cs", "Zl", "Zp"}  # controls, halves of characters, line ends: never in a cell


def on_a_screen(data: bytes) -> object:
    """What a terminal would show, fed in two pieces; the window keeps its size."""
    screen, half = Screen(4, 10), len(data) // 2
    screen.feed(data[:half])
    screen.feed(data[half:])
    text = screen.text()
    assert (len(text), screen.cols) == (4, 10)
    assert all(len(line.encode()) < 1_000 for line in text)
    assert not {category(char) for line in text for char in line} & ACTING
    return text


ON_DISK: Final[tuple[Decoder, ...]] = (
    Decoder(covers=("storage.bundle:Bundle",), samples=(BUNDLE,), read=read_bundle, refuses=(BundleRefused,)),
    Decoder(
        covers=("storage.bundle:_read_manifest",),
        samples=(MANIFEST,),
        read=lambda data: read_bundle(in_bundle(data)),
        refuses=(BundleRefused,),
    ),
    Decoder(
        covers=("config:_from_file",),
        samples=(CONFIG,),
        also=(b'data_dir = "~nobody-of-this-name/x"\n',),
        read=read_settings,
        refuses=(ConfigRefused,),
    ),
    Decoder(covers=("cli.daemons:read_daemon_file",), samples=(DAEMON_JSON,), read=read_daemon_json),
    Decoder(covers=("cli.nouns.task:read_stages",), samples=STAGES, read=read_stages_file),
    Decoder(
        covers=("effects.runner.status.rules:read_rules",),
        samples=(RULES,),
        read=read_rules,
        refuses=(RulesRefused,),
    ),
    Decoder(
        covers=("scripted.script:parse_script",),
        samples=(SCRIPT,),
        read=lambda data: parse_script(data, environment={}),
        refuses=(Fault,),
    ),
    Decoder(
        covers=("effects.git.parse:parse_status",), samples=(STATUS,), read=parse_status, refuses=(Garbled,)
    ),
    Decoder(
        covers=("effects.git.parse:parse_worktrees",),
        samples=(WORKTREES,),
        read=parse_worktrees,
        refuses=(Garbled,),
    ),
    Decoder(
        covers=("cli.recordings:LastLines.feed",),
        samples=(b"one\ntwo\n\x1b[1mthree", b"\n" * 9),
        read=last_lines,
    ),
    Decoder(covers=("cli.terminal_text:Cleaner.feed",), samples=(b"\x1b[31mred\x1b[0m\r\n",), read=cleaned),
    Decoder(
        covers=("effects.screen.screen:Screen.feed", "effects.screen.sequences:Cutter.feed"),
        samples=(
            b"\x1b[2J\x1b[3;4Hat\x1b[1;31mred\x1b[0m\r\n\x1b]0;title\x07\x1b[?1049h\x1b[10@\x1b[5L",
            "wide 東京 e\u0301\t\b\x1b[2;3r\x1b[9S\x1b[7P".encode(),
        ),
        read=on_a_screen,
    ),
)
"""On this machine."""
