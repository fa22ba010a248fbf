"""Inputs on their way into the terminal: typed once, in order, and known afterwards.

    intended (durable) ──typed to the last byte──> applied
        │              └──the program ended first──> failed
        └──not to be typed any more, as a last look says──> withdrawn: its id is free

An input with an id is never typed twice: asking again, also from another connection, answers the first
one's outcome. After a keeper's death an intent without an outcome means: perhaps typed. An input without
an id (a person's key presses) is typed at most once, is recorded, but is not reported.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # see moduprompt.keeper
    from collections.abc import Callable, Mapping

    from moduprompt.keeper.recording import AuthorKind

    Tell = Callable[["Input"], None]
    Report = Callable[[str, Mapping[str, object]], bool]
    Intend = Callable[[Mapping[str, object]], bool]
    Record = Callable[["Input", bytes], None]
    Printed = Callable[[], int]
    Check = Callable[[], None]

APPLIED, FAILED = "applied", "failed"
WAITING_BYTES_MAX = 1024 * 1024  # for a program that doesn't read
REMEMBERED_MAX = 4096  # re-sending happens right after a reconnect, never thousands of inputs later


class Refused(Exception):
    """The run can't do that now. `code` goes to whoever asked."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Input:
    """Some bytes to type, by whom, and those who want to know the outcome."""

    __slots__ = ("author", "author_id", "data", "input_id", "outcome", "printed", "waiting", "written")

    def __init__(
        self, data: bytes, *, author: "AuthorKind", author_id: str, input_id: str | None = None
    ) -> None:
        self.data = data
        self.author: AuthorKind = author
        self.author_id = author_id
        self.input_id = input_id
        self.written = 0
        self.outcome = ""
        self.printed = 0  # by the program, when the outcome was known
        self.waiting: list[Tell] = []


class Inputs:
    """The queue of one terminal."""

    def __init__(self, *, report: "Report", intend: "Intend", record: "Record", printed: "Printed") -> None:
        """`intend`: make an intent durable. Where it can't, nothing of it is ever told, so asking again is safe."""
        self._report = report
        self._intend = intend
        self._printed = printed
        self._record = record
        self._queue: list[Input] = []
        self._known: dict[str, Input] = {}

    def __bool__(self) -> bool:
        return bool(self._queue)

    @property
    def waiting_bytes(self) -> int:
        """What the terminal has not taken yet."""
        return sum(len(item.data) - item.written for item in self._queue)

    def known(self, input_id: str | None) -> Input | None:
        """The input that came with this id before."""
        return self._known.get(input_id) if input_id else None

    def push(self, item: Input, *, check: "Check | None" = None) -> None:
        """Queue an input. Raises Refused when it can't be promised; then nothing of it will be typed.

        `check` raises Refused where it should not be typed by now: to make the intent durable takes a while. What is
        withdrawn so leaves its id free.
        """
        if self.waiting_bytes + len(item.data) > WAITING_BYTES_MAX:
            raise Refused("input_full", "the program does not read what was typed before")
        if item.input_id:
            # Intent before effect: after a crash it is known that this may have been typed.
            if not self._intend({"input_id": item.input_id}):
                raise Refused("disk_refused", "the intent could not be made durable; nothing was typed")
            if check is not None:
                try:
                    check()
                except Refused:
                    told = {"input_id": item.input_id, "bytes": 0, "withdrawn": True}
                    self._report("input_failed", told)
                    raise
            self._remember(item.input_id, item)
        self._queue.append(item)

    def type_into(self, fd: int) -> None:
        """Write as much as the terminal or the pipe takes. Raises BrokenPipeError when nobody will read it."""
        while self._queue:
            item = self._queue[0]
            try:
                count = os.write(fd, item.data[item.written :]) if item.data else 0
            except BrokenPipeError:
                raise
            except OSError:
                return  # full, or the program's end is closed: then the inputs fail when the run ends
            self._record(item, item.data[item.written : item.written + count])
            item.written += count
            if item.written == len(item.data):
                self._queue.pop(0)
                self._settle(item, APPLIED)

    def fail_all(self) -> None:
        """The program has ended: what it has not been given will never be typed."""
        while self._queue:
            self._settle(self._queue.pop(0), FAILED)

    def tell(self, item: Input, tell: "Tell") -> None:
        """Call `tell` when the outcome is known, perhaps at once."""
        if item.outcome:
            tell(item)
        else:
            item.waiting.append(tell)

    def _remember(self, input_id: str, item: Input) -> None:
        self._known[input_id] = item
        oldest = next(iter(self._known))
        if len(self._known) > REMEMBERED_MAX and self._known[oldest].outcome:
            del self._known[oldest]

    def _settle(self, item: Input, outcome: str) -> None:
        item.outcome = outcome
        item.printed = self._printed()
        item.data = b""  # what is remembered is the id and the outcome, not the text
        if item.input_id:
            told = {"input_id": item.input_id, "bytes": item.written, "output_bytes": item.printed}
            self._report(f"input_{outcome}", told)
        for tell in item.waiting:
            tell(item)
        item.waiting.clear()
