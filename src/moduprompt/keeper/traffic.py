"""A run's bytes: out of its program into the recording, and from whoever types into its program.

    program ──terminal or pipes──> one frame of the recording ──> watchers
    keys, prompts, the terminal's own answers ──> waiting inputs ──> the program

Bytes are in the recording before any watcher sees them, and an input's intent is durable before its first byte is
typed. What the disk refuses waits here, and the program's output with it, until the disk takes it.
"""

import os
import select
import time

from moduprompt.keeper import recording
from moduprompt.keeper.drafts import Draft
from moduprompt.keeper.inputs import WAITING_BYTES_MAX, Input, Inputs, Refused
from moduprompt.keeper.journal import UNACKNOWLEDGED_MAX
from moduprompt.keeper.pipes import OPEN, Pipes
from moduprompt.keeper.records import DISK_RETRY_S
from moduprompt.keeper.spec import PIPES
from moduprompt.keeper.terminal import Questions, Terminal

TYPE_CHECKING = False
if TYPE_CHECKING:  # see moduprompt.keeper
    from collections.abc import Callable

    from moduprompt.keeper.inputs import Tell
    from moduprompt.keeper.records import Records
    from moduprompt.keeper.spec import Spec

READS_BEFORE_TYPING_MAX = 4  # who prints more than that at once is still printing
LAST_READS_MAX = 64  # at the end: more than a terminal or a pipe can hold; who writes on is none of the run's
READ_BYTES_MAX = 64 * 1024  # one frame of the recording; also what one turn of the loop may take
PRINTED = (recording.OUTPUT, recording.STDERR)
HUNG_UP_RETRY_S = 0.2  # a program may close its terminal and open it again; until then there is nothing


class Traffic:
    """Of one run. `reads`: whether its program is there to read what is typed; `hit`: a limit of its output is reached."""

    def __init__(
        self, spec: "Spec", records: "Records", *, reads: "Callable[[], bool]", hit: "Callable[[str], None]"
    ) -> None:
        self.terminal = (
            Pipes(spec.stdin, spec.stdin_file) if spec.io == PIPES else Terminal(spec.rows, spec.cols)
        )
        self.recording = records.recording
        self.real_terminals = 0  # attached watchers that answer the terminal's questions themselves
        self.is_open = True
        self.read_again_at: float | None = None
        self.last_output = self.last_input = records.began
        self.dropped_bytes = 0  # of output, above its limit
        self._spec = spec
        self._records = records
        self._reads = reads
        self._hit = hit
        self._inputs = Inputs(
            report=records.report,
            intend=records.intend,
            record=self._record_input,
            printed=lambda: self.recording.output_bytes,
        )
        self._draft = Draft()
        self._questions = Questions()
        self._typed_at: float | None = None  # the last key, and how much had been printed then
        self._printed_when_typed = 0
        self._unrecorded: list[tuple[int, bytes]] = []  # frames that the disk has refused, in order
        self._gap_bytes = 0  # of what was dropped, as far as the recording says it
        self._kept_bytes = 0  # of output and standard error together
        self._closes_input = False

    def watched(self) -> dict[int, int]:
        """The program's descriptors that the loop should look at now, each with the events that matter."""
        if not self._may_read:
            return {}
        stand = self.terminal
        wanted = {fd: select.POLLIN for fd in (stand.fd, stand.error_fd) if fd >= 0}
        if self._inputs and stand.input_fd >= 0:
            wanted[stand.input_fd] = wanted.get(stand.input_fd, 0) | select.POLLOUT
        return wanted

    def streams(self) -> "dict[int, Callable[[int], None]]":
        """What to call with the events of each of the program's descriptors."""
        stand = self.terminal
        return {
            stand.error_fd: self._attend_errors,
            stand.input_fd: self._attend_input,
            stand.fd: self._attend,
        }

    def open_with(self, first: bytes) -> None:
        """Its first input, before the program can read a byte: nothing ever comes before it."""
        self._inputs.push(Input(first, author="kernel", author_id="opening"))

    def read_output(self) -> bool:
        """Take one frame's worth of output into the recording. False when there is none now."""
        data = self._read(self.terminal.fd)
        if not data:
            return False
        self._keep(recording.OUTPUT, data)
        if self.terminal.path and not self.real_terminals and self._reads():
            for answer in self._questions.answers(data):
                self._answer(answer)
        return True

    def type_waiting(self) -> None:
        """Write waiting input as far as the program takes it; close it when that was asked for."""
        if not self.is_open or self.terminal.input_fd < 0:
            return
        try:
            self._inputs.type_into(self.terminal.input_fd)
        except BrokenPipeError:  # the program has closed its input and goes on
            self._inputs.fail_all()
            self._closes_input = True
        if self._closes_input and not self._inputs and isinstance(self.terminal, Pipes):
            self.terminal.close_input()

    def close_input(self) -> None:
        """Let the program read the end of its input once it has read what waits. Safe twice. Raises Refused."""
        if self._spec.stdin != OPEN:
            raise Refused("no_input", "this run has no standard input that could be closed")
        self._closes_input = True
        self.type_waiting()

    def accept_input(
        self,
        wanted: Input,
        tell: "Tell",
        *,
        if_output_bytes: int | None = None,
        if_canonical: bool | None = None,
    ) -> None:
        """Type this once. `tell` is called when its outcome is known, perhaps at once. Raises Refused.

        With `if_output_bytes` it is typed only while the program has printed exactly so much: whoever asks
        has seen all of that, so nothing is typed into a question that was not there when it was looked. With
        `if_canonical` it is typed only while the terminal collects lines, or does not: a mode changes without a word.
        """
        known = self._inputs.known(wanted.input_id)
        if known is None:
            self._refuse_by_stand(wanted)
            if not self._reads() or not self.is_open:
                raise Refused("not_running", "the program has ended")
            if len(self._records.journal.unacknowledged) >= UNACKNOWLEDGED_MAX:
                raise Refused("unacknowledged", "too many reports wait for the daemon's acknowledgement")
            if sum(len(payload) for _, payload in self._unrecorded) >= WAITING_BYTES_MAX:
                raise Refused("disk_refused", "what was typed before could not be recorded yet")
            self._must_stand_still(output_bytes=if_output_bytes, canonical=if_canonical)
            # Once more when the intent is durable: that takes milliseconds, in which a question may open.
            self._inputs.push(
                wanted,
                check=lambda: self._must_stand_still(output_bytes=if_output_bytes, canonical=if_canonical),
            )
            if wanted.input_id is None and wanted.author == "user":
                in_lines = self.terminal.modes()[0]
                self._draft.typed(wanted.data, wanted.author_id, in_lines=in_lines)
            self.last_input = time.monotonic()
        self._inputs.tell(known or wanted, tell)
        self.type_waiting()

    def resize(self, rows: int, cols: int) -> None:
        """Change the window's size. Raises Refused."""
        if not self.is_open:
            raise Refused("not_running", "the program has ended")
        if self._spec.io == PIPES:
            return  # a wish that means nothing here
        self.terminal.resize(rows, cols)
        if self._unrecorded and self._unrecorded[-1][0] == recording.RESIZE:
            self._unrecorded.pop()  # between the two nothing was printed that the disk has not refused
        self._keep(recording.RESIZE, recording.pack_size(rows, cols))

    def try_disk_again(self, now: float) -> None:
        """What a disk refused a while ago is offered to it once more; then the program is read again."""
        if self.read_again_at is not None and now >= self.read_again_at:
            self.read_again_at = None
            if self._unrecorded:
                self._keep_unrecorded()
                self.last_output = now  # what it would have said meanwhile nobody could hear

    @property
    def quiet_since(self) -> float | None:
        """When its program last said or was told anything; None while it can't be heard, for the disk takes nothing."""
        return None if self._unrecorded else max(self.last_output, self.last_input)

    def status(self) -> dict[str, object]:
        """What can be seen of it at this moment."""
        since_typed = None if self._typed_at is None else int((time.monotonic() - self._typed_at) * 1000)
        return {
            "quiet_ms": int((time.monotonic() - self.last_output) * 1000),
            "output_bytes": self.recording.output_bytes,
            "input_waiting_bytes": self._inputs.waiting_bytes,
            "draft_by": self._draft.author or None,
            "since_typed_ms": since_typed,
            "printed_since_typed": self.recording.output_bytes - self._printed_when_typed,
            "disk_refuses": bool(self._unrecorded) or not self._records.journal.is_durable,
        }

    def end(self) -> bool:
        """The program has ended: take what it left unread, and let go. False where the disk has to take it first."""
        if self._unrecorded:
            return False  # the disk is tried again; the report of the end would wait for it as well
        self.read_again_at = None
        for read in (self.read_output, self._read_errors):
            for _ in range(LAST_READS_MAX):
                if not read():
                    break
        missing = self.dropped_bytes - self._gap_bytes
        if missing:
            self._gap_bytes += missing
            self._keep(recording.GAP, recording.pack_gap(missing))
        if self._unrecorded:
            return False
        self.close()
        self._inputs.fail_all()
        return True

    def close(self) -> None:
        """Let go of the terminal or the pipes. Safe twice."""
        if self.is_open:
            self.is_open = False
            self.terminal.close()

    @property
    def _may_read(self) -> bool:
        return self.is_open and self.read_again_at is None

    def _attend(self, events: int) -> None:
        if events & select.POLLOUT:
            self.type_waiting()
        if events & ~select.POLLOUT:
            self.read_output()

    def _attend_input(self, events: int) -> None:
        del events  # room, or nobody reads any more: writing tells which
        self.type_waiting()

    def _attend_errors(self, events: int) -> None:
        del events
        self._read_errors()

    def _read_errors(self) -> bool:
        data = self._read(self.terminal.error_fd)
        if data:
            self._keep(recording.STDERR, data)
        return bool(data)

    def _refuse_by_stand(self, wanted: Input) -> None:
        if self._spec.io != PIPES:
            return
        if wanted.input_id is None:  # a person's keys would end up in the middle of a line of ours
            raise Refused("no_terminal", "this run has no terminal to type into")
        if self.terminal.input_fd < 0 or self._closes_input:
            raise Refused("input_closed", "the program's standard input is closed")

    def _must_stand_still(self, *, output_bytes: int | None, canonical: bool | None) -> None:
        if output_bytes is not None:
            self._must_have_printed(output_bytes)
        if canonical is not None and self.terminal.modes()[0] is not canonical:
            raise Refused("moved_on", "the terminal's mode has changed")

    def _must_have_printed(self, output_bytes: int) -> None:
        if not self._may_read:  # then nobody knows what it has printed by now
            raise Refused("moved_on", "what the program prints can't be read now")
        for _ in range(READS_BEFORE_TYPING_MAX):
            if not self.read_output():
                break
        if not self._may_read or self.recording.output_bytes != output_bytes:
            raise Refused("moved_on", f"the program has printed {self.recording.output_bytes} bytes by now")

    def _read(self, fd: int) -> bytes:
        # The kernel hands out at most 4 KiB a read; a frame for each would double the recording's cost.
        pieces: list[bytes] = []
        room = READ_BYTES_MAX
        while room > 0 and fd >= 0 and self._may_read:
            try:
                piece = os.read(fd, room)
            except BlockingIOError:
                break
            except OSError:  # EIO: nobody holds the program's end now
                self.read_again_at = time.monotonic() + HUNG_UP_RETRY_S
                break
            if not piece:
                self._close_output(fd)
                break
            pieces.append(piece)
            room -= len(piece)
        return b"".join(pieces)

    def _close_output(self, fd: int) -> None:
        # A pipe that nobody can write to stays so; a poll of it would never sleep.
        if isinstance(self.terminal, Pipes):
            self.terminal.close_output(fd)

    def _keep(self, kind: int, payload: bytes) -> None:
        if kind in PRINTED:
            self.last_output = time.monotonic()
        self._unrecorded.append((kind, payload))
        self._keep_unrecorded()

    def _keep_unrecorded(self) -> None:
        waiting, self._unrecorded = self._unrecorded, []
        for kind, whole in waiting:
            payload = self._within_limit(whole) if kind in PRINTED else whole
            if self._unrecorded or (payload and not self._records.record(kind, payload)):
                self._unrecorded.append((kind, payload))  # the program's output waits until the disk takes it
                self.read_again_at = time.monotonic() + DISK_RETRY_S
            elif kind in PRINTED:
                self._kept_bytes += len(payload)

    def _within_limit(self, data: bytes) -> bytes:
        limit = self._spec.limits.output_bytes_max
        room = len(data) if limit is None else max(limit - self._kept_bytes, 0)
        if len(data) > room:
            self.dropped_bytes += len(data) - room
            self._hit("output_bytes_max")
        return data[:room]

    def _answer(self, answer: bytes) -> None:
        try:
            self._inputs.push(Input(answer, author="kernel", author_id="terminal"))
        except Refused:
            return  # a program that asks and never reads gets no more answers
        self.type_waiting()

    def _record_input(self, item: Input, piece: bytes) -> None:
        if item.author != "kernel":  # what the terminal answers by itself is no key
            self._typed_at, self._printed_when_typed = time.monotonic(), self.recording.output_bytes
        self._keep(recording.INPUT, recording.pack_input(item.author, item.author_id, piece))
