"""What the contract says of commands, written down a second time and without the kernel's code.

The model knows no rules of the domain. It knows the log as it was told, so it can say: which version a subject
has, which key belongs to which command, which refusal comes first, which refusals leave an event, and what every
event must carry.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from blake3 import blake3

BURST: Final = 20  # rejections of one actor that leave an event, at once
PER_S: Final = 2  # and from then on
SYSTEM: Final = "00000000-0000-7000-8000-000000000000"
REFUSED: Final = "command.rejected"


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """The accepted use of a key."""

    said: tuple[str, int, bytes]
    answer: bytes


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A command as the client sent it."""

    actor: str
    actor_kind: str
    type: str
    version: int
    payload: bytes
    key: str | None
    expected: int | None
    subject: str | None
    home: str
    is_known: bool = True
    is_well_formed: bool = True
    is_internal: bool = False
    trace_id: str

    def what(self) -> tuple[str, int, bytes]:
        """What makes two uses of a key the same."""
        return self.type, self.version, self.payload


class Model:
    """All workspaces, as far as they were told."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.logs: dict[str, list[bytes]] = {}
        self.versions: dict[tuple[str, str], int] = {}
        self.times: dict[str, str] = {}
        self.uses: dict[tuple[str, str, str], Use] = {}
        self.buckets: dict[str, tuple[float, int]] = {}

    def head(self, workspace: str) -> int:
        """Its last sequence."""
        return len(self.logs.get(workspace, ()))

    def answers(self, said: Said, answer: bytes, *, now: int) -> None:
        """This answer may be given to this command at this moment; and it is learnt."""
        told = msgspec.json.decode(answer, type=dict[str, Any])
        used = self._use_of(said)
        if used is not None and used.said == said.what():
            assert answer == used.answer, "the same key and command answers what it answered"
            return
        assert told["trace_id"] == said.trace_id
        if told["accepted"]:
            assert self._must_refuse(said, told) is None
            self._accepted(said, answer, told)
        else:
            self._refused(said, told, now=now)

    def absorb(self, workspace: str, stored: list[bytes]) -> None:
        """What the kernel has written by itself since: timers alone, chained like everything else."""
        known = self.logs.get(workspace, [])
        assert stored[: len(known)] == known, "what was told is what is stored"
        for data in stored[len(known) :]:
            event = self._append(workspace, data)
            assert event["actor"] == {"kind": "system", "id": "kernel", "label": "mpd"}

    def _use_of(self, said: Said) -> Use | None:
        if not (said.is_known and said.is_well_formed and said.key and self._is_visible(said)):
            return None
        return self.uses.get((said.actor, said.home, said.key))

    def _is_visible(self, said: Said) -> bool:
        if said.home not in self.logs:
            return False
        if said.actor_kind == "session":
            return said.home == SYSTEM or (said.home, said.actor) in self.versions
        return said.actor == f"user:{self.owner}"

    def _must_refuse(self, said: Said, told: Mapping[str, Any]) -> tuple[str, bool] | None:
        """The code that the contract's order demands, and whether it may leave an event; None: the domain decides."""
        if not said.is_known:
            return "unknown_command", False
        if not said.is_well_formed:
            return "invalid_schema", False
        if said.key is None:
            return "idempotency_key_required", False
        if not self._is_visible(said):
            return "not_found", False
        if self._use_of(said) is not None:
            return "validation_failed", True
        if said.is_internal:
            return "policy_denied", True
        if said.actor_kind == "session" and not told["accepted"] and _code(told) == "policy_denied":
            return "policy_denied", True
        actual = 0 if said.subject is None else self.versions.get((said.home, said.subject), 0)
        if said.expected is not None and said.expected != actual:
            return "expected_version_mismatch", True
        return ("not_found", True) if said.subject is not None and not actual else None

    def _accepted(self, said: Said, answer: bytes, told: Mapping[str, Any]) -> None:
        events = _raw_events(answer)
        home = said.home if not events or said.type != "workspace.create" else _of(events[0])["workspace_id"]
        root: str | None = None
        seen: set[str] = set()
        for data in events:
            event = self._append(home, data)
            self._is_signed(event, said, told)
            cause = event["causality"]
            assert cause.get("root_event_id") == root
            assert cause.get("parent_event_id") is None or cause["parent_event_id"] in seen
            root = root or event["event_id"]
            seen.add(event["event_id"])
        assert told["seq_global"] == self.head(home if events else said.home)
        assert said.key is not None
        self.uses[said.actor, said.home, said.key] = Use(said=said.what(), answer=answer)

    def _refused(self, said: Said, told: Mapping[str, Any], *, now: int) -> None:
        demanded = self._must_refuse(said, told)
        code, leaves = demanded or (_code(told), True)
        assert _code(told) == code, f"{_code(told)} where the contract has {code}"
        if demanded is None:
            assert code in {"validation_failed", "not_found"}
        if code == "expected_version_mismatch":
            assert told["rejection"]["details"]["expected_version"] == said.expected
        events = [msgspec.json.encode(event) for event in told["events"]]
        assert len(events) == (1 if leaves and self._has_room(said.actor, now) else 0)
        for data in events:
            event = self._append(said.home, data)
            self._is_signed(event, said, told)
            assert event["subject"] == {"kind": "command", "id": told["command_id"]}
            assert event["event_type"] == REFUSED
            assert set(event["payload"]) <= {"command_type", "code", "message", "reason"}
            assert event["payload"]["code"] == code

    def _is_signed(self, event: Mapping[str, Any], said: Said, told: Mapping[str, Any]) -> None:
        assert f"{event['actor']['kind']}:{event['actor']['id']}" == said.actor
        assert event["trace_id"] == said.trace_id
        assert event["causality"]["command_id"] == told["command_id"]

    def _append(self, workspace: str, data: bytes) -> dict[str, Any]:
        event, log = _of(data), self.logs.setdefault(workspace, [])
        before = log[-1] if log else workspace.encode()
        subject = (workspace, f"{event['subject']['kind']}:{event['subject']['id']}")
        assert event["workspace_id"] == workspace
        assert event["seq_global"] == len(log) + 1
        assert event["seq_stream"] == self.versions.get(subject, 0) + 1
        assert event["prev_hash"] == f"blake3:{blake3(before).hexdigest()}"
        assert event["timestamp"] >= self.times.get(workspace, "")
        log.append(data)
        self.versions[subject], self.times[workspace] = event["seq_stream"], event["timestamp"]
        return event

    def _has_room(self, actor: str, now: int) -> bool:
        left, since = self.buckets.get(actor, (float(BURST), now))
        left = min(BURST, left + max(0, now - since) / 1_000_000 * PER_S)
        self.buckets[actor] = (left - 1 if left >= 1 else left, now)
        return left >= 1


class _Events(msgspec.Struct, frozen=True):
    events: tuple[msgspec.Raw, ...]


def _raw_events(answer: bytes) -> list[bytes]:
    return [bytes(each) for each in msgspec.json.decode(answer, type=_Events).events]


def _of(data: bytes) -> dict[str, Any]:
    return msgspec.json.decode(data, type=dict[str, Any])


def _code(told: Mapping[str, Any]) -> str:
    return told["rejection"]["code"]
