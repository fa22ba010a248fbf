"""A fake program in a terminal, with bad habits; it writes down what it got. Runs alone: python animal.py TRUTH HABITS.

    {"got": "prompt", "text": …}     sent by an Enter of its own, or a line in line mode
    {"got": "empty"}                 an Enter on an empty input line
    {"got": "dialog", "keys": …}     a question was open and seen, and got something that is no answer
    {"got": "unseen", "keys": …}     a question that opened over keys nobody had read yet, and swallowed them
    {"opened": n}, {"closed": n}     a question, until it is answered by y

What it writes down is on its way to the disk before it shows anything for it. Habits are drawn from a seed.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import select
import sys
import termios
import tty

PASTE_BEGINS, PASTE_ENDS = b"\x1b[200~", b"\x1b[201~"
SHOWN_LINES = 12  # of a long input line; the end is shown


def doze(seconds: float) -> None:
    """Without a look at its terminal."""
    select.select([], [], [], seconds)


class Animal:
    """Draws itself, reads keys, and asks questions when it likes."""

    def __init__(self, truth: str, habits: dict[str, object]) -> None:
        self.truth = os.open(truth, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.rng = random.Random(str(habits["seed"]))
        self.asks = float(str(habits.get("asks", 0)))
        self.dies = float(str(habits.get("dies", 0)))
        self.toggles = float(str(habits.get("toggles", 0)))
        self.switches = float(str(habits.get("switches", 0)))
        self.is_line = bool(habits.get("line"))
        self.has_paste = bool(habits.get("paste", True))
        self.is_slow = bool(habits.get("slow"))
        self.swallows = bool(habits.get("swallows"))  # an Enter, with a question that opens over it
        self.ticks = bool(habits.get("ticks"))
        self.is_inline = bool(habits.get("inline"))
        self.read_max = int(str(habits.get("read_max", 65536)))
        self.composer = ""
        self.unread = b""
        self.said = "hello"
        self.question = 0
        self.is_open = False
        self.drawn_to = 0
        self.tick = 0
        self.cooked = termios.tcgetattr(0)
        if habits.get("alternate"):
            self.write("\x1b[?1049h")

    def note(self, **line: object) -> None:
        os.write(self.truth, json.dumps(line).encode() + b"\n")

    def write(self, text: str) -> None:
        data = text.encode()
        while data:
            data = data[os.write(1, data) :]

    def pending(self) -> int:
        return int.from_bytes(fcntl.ioctl(0, termios.FIONREAD, b"\0\0\0\0"), sys.byteorder)

    def draws(self, chance: float) -> bool:
        return self.rng.random() < chance

    def live(self) -> None:
        if self.is_line:
            while self.live_in_lines():
                pass
            return
        self.be_raw()
        self.draw()
        while True:
            self.step()

    # Line mode.

    def live_in_lines(self) -> bool:
        self.write("> ")
        line = os.read(0, self.read_max)
        if not line:
            return False
        while not line.endswith(b"\n") and line:
            more = os.read(0, self.read_max)
            line, is_over = line + more, not more
            if is_over:
                break
        self.take_line(line)
        return True

    def take_line(self, line: bytes) -> None:
        self.note(got="prompt", text=line.decode("utf-8", "replace").rstrip("\n"), form="line")
        self.may_die(1)
        if self.is_slow:
            doze(self.rng.random() * 0.05)
        if self.draws(self.asks) and not self.pending():
            self.ask_in_lines()

    def ask_in_lines(self) -> None:
        self.question += 1
        before = self.pending()
        self.write("Overwrite it? [y/N] ")
        self.note(opened=self.question)
        answer = b""
        while answer.strip() != b"y":
            answer = os.read(0, self.read_max)
            if answer.strip() != b"y":
                kind = "unseen" if before else "dialog"
                self.note(got=kind, keys=answer.decode("utf-8", "replace"))
        self.note(closed=self.question)

    # Raw mode.

    def be_raw(self) -> None:
        tty.setraw(0, termios.TCSANOW)
        self.write("\x1b[?2004h" if self.has_paste else "\x1b[?2004l")

    def draw(self) -> None:
        self.tick += 1
        if self.is_open:
            footer = f"[?] May I go on with step {self.question}? (y/n)"
        else:
            footer = f"-- {self.tick if self.ticks else 'ready'}"
        shown = self.composer.split("\n")[-SHOWN_LINES:]
        if len(self.composer) > 2_000:
            shown = [f"[Pasted text, {len(self.composer)} characters]"]
        if self.is_inline:
            self.write(f"\r\n{self.said}\r\n{footer}\r\n> " + "\r\n  ".join(shown))
            return
        lines = [self.said[:200].replace("\n", " "), "-" * 20, "> " + "\r\n  ".join(shown)]
        self.write("\x1b[H\x1b[2J" + "\r\n".join(lines) + f"\x1b7\r\n{footer}\x1b8")

    def step(self) -> None:
        wait = 0.1 if self.ticks else 0.05 + self.rng.random() * 0.3
        ready, _, _ = select.select([0], [], [], wait)
        if ready:
            if self.draws(self.asks / 4) and not self.is_open and self.pending():
                self.unread += os.read(0, self.read_max)
                if self.swallows or not self.unread.startswith(b"\r"):
                    self.open(over=0)
                    return
            self.read()
        elif self.draws(self.asks / 8) and not self.is_open:
            self.open(over=self.pending())
        elif self.draws(self.toggles / 4):
            self.has_paste = not self.has_paste
            self.be_raw()
            self.draw()
        elif self.draws(self.switches / 4) and not self.composer and not self.is_open:
            self.be_cooked_for_a_while()
        elif self.ticks:
            self.draw()

    def open(self, *, over: int) -> None:
        """A question. What was typed before it could be seen is swallowed, as programs do."""
        self.question += 1
        self.is_open = True
        self.note(opened=self.question)
        self.draw()
        over = max(over, self.pending())
        if over or self.unread:
            swallowed = self.unread
            while over > 0:
                piece = os.read(0, over)
                swallowed, over = swallowed + piece, over - len(piece)
            while swallowed.count(PASTE_BEGINS) > swallowed.count(PASTE_ENDS):  # a paste is one thing
                swallowed += os.read(0, self.read_max)
            self.unread = b""
            if swallowed == b"\r" and not self.swallows:
                self.unread = swallowed
                self.close()
                return
            self.note(got="unseen", keys=swallowed.decode("utf-8", "replace")[:200])

    def read(self) -> None:
        if not self.is_open and self.is_slow:
            doze(self.rng.random() * 0.02)
        if not self.unread or self.pending():
            data = os.read(0, self.read_max)
            if not data:
                raise SystemExit
            self.unread += data
        had = self.composer
        while self.unread and self.take():
            pass
        if self.composer != had and not self.is_open:
            self.draw()
            self.be_moody()

    def be_moody(self) -> None:
        """Between a paste and its Enter."""
        if self.draws(self.asks) and not self.pending():
            self.open(over=0)
        elif self.draws(self.toggles):
            self.has_paste = not self.has_paste
            self.be_raw()
        elif self.draws(self.switches / 8) and not self.pending():
            self.be_cooked_for_a_while()

    def take(self) -> bool:
        """One key or one paste; False where the rest of it is still to come."""
        if self.unread.startswith(PASTE_BEGINS):
            end = self.unread.find(PASTE_ENDS)
            if end < 0:
                self.may_die(0.2)
                return False
            text = self.unread[len(PASTE_BEGINS) : end]
            self.unread = self.unread[end + len(PASTE_ENDS) :]
            self.put(text.decode("utf-8", "replace").replace("\r", "\n"), raw=text)
            return True
        if self.unread[:1] == b"\x1b" and PASTE_BEGINS.startswith(self.unread[:6]):
            return False
        if self.unread[:1] in (b"\r", b"\x15"):
            key, self.unread = self.unread[:1], self.unread[1:]
            self.press(key)
            return True
        ends = [at for at in map(self.unread.find, (b"\r", b"\x15", b"\x1b")) if at > 0]
        text = self.unread[: min(ends, default=len(self.unread))]
        try:
            words = text.decode()
        except UnicodeDecodeError as cut:
            if cut.end == len(text) and cut.start and len(text) - cut.start < 4:
                text = text[: cut.start]
                words = text.decode("utf-8", "replace")
            elif len(text) < 4:
                return False
            else:
                words = text.decode("utf-8", "replace")
        self.unread = self.unread[len(text) :]
        self.put(words, raw=text)
        return True

    def put(self, words: str, *, raw: bytes) -> None:
        if not self.is_open:
            self.composer += words
        elif raw == b"y":
            self.close()
        else:
            self.note(got="dialog", keys=words[:200])

    def press(self, key: bytes) -> None:
        if self.is_open:
            self.note(got="dialog", keys=repr(key))
        elif key == b"\x15":
            self.composer = ""
            self.draw()
        elif self.composer.strip():
            self.submit()
        else:
            self.note(got="empty")
            self.draw()

    def close(self) -> None:
        self.is_open = False
        self.note(closed=self.question)
        self.draw()

    def submit(self) -> None:
        self.may_die(1)
        self.note(got="prompt", text=self.composer, form="raw")
        self.may_die(1)
        self.said, self.composer = f"you said {self.composer[:40]!r}", ""
        if self.is_slow:
            doze(self.rng.random() * 0.1)
        if self.draws(0.5):
            self.write("\r\n~ working")
            doze(self.rng.random() * 0.03)
        if self.draws(self.asks) and not self.pending():
            self.open(over=0)
        else:
            self.draw()

    def be_cooked_for_a_while(self) -> None:
        """Line mode without a word, for a line; back at once where something came in between."""
        if self.pending():
            return
        termios.tcsetattr(0, termios.TCSANOW, self.cooked)
        if self.pending() or self.composer:
            doze(0.3 if self.composer else 0)
        elif self.draws(0.5):
            self.write("\x1b[?2004l\r\n$ ")
            if select.select([0], [], [], 1.0)[0]:
                line = os.read(0, 65536)
                self.take_line(line)
        else:
            doze(self.rng.random() * 0.1)
        self.wait_for_unread_lines()
        self.be_raw()
        self.draw()

    def wait_for_unread_lines(self) -> None:
        while self.pending() and not self.composer:
            self.take_line(os.read(0, 65536))

    def may_die(self, weight: float) -> None:
        if self.draws(self.dies * weight):
            os._exit(3)


if __name__ == "__main__":
    Animal(sys.argv[1], json.loads(sys.argv[2])).live()
