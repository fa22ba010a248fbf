"""Of two things that are wrong with a command, the one that stands first in the contract answers."""

from collections.abc import Callable

import msgspec
import pytest

from moduprompt.protocol import Actor, CommandEnvelope
from tests.support.domain import OTHER, an_id
from tests.support.kernel import House, make_kernel, reason

FAULTS = ("type", "payload", "key", "visibility", "idempotency", "policy", "expected_version", "decide")
"""In the contract's order."""

SAID = {
    "type": "unknown_command",
    "payload": "invalid_schema",
    "key": "idempotency_key_required",
    "visibility": "not_found",
    "idempotency": "validation_failed/idempotency_key_reused",
    "policy": "policy_denied/kernel_only",
    "expected_version": "expected_version_mismatch",
    "decide": "not_found",
}
NEVER_TOGETHER = {
    ("key", "idempotency"),  # there is no key to be used again
    ("visibility", "idempotency"),  # who may not enter has used no key there
}
PAIRS = [
    (first, second)
    for place, first in enumerate(FAULTS)
    for second in FAULTS[place + 1 :]
    if (first, second) not in NEVER_TOGETHER
]


class Wrong:
    """A rename that is right until it is spoilt."""

    def __init__(self, workspace_id: str) -> None:
        self.type = "project.rename"
        self.payload: dict[str, object] = {
            "workspace_id": workspace_id,
            "project_id": an_id(0xEE),
            "name": "x",
        }
        self.key: str | None = "fresh"
        self.expected: int | None = None
        self.actor: Actor | None = None

    def spoil(self, fault: str) -> None:
        spoilers: dict[str, Callable[[], None]] = {
            "type": self._type,
            "payload": self._payload,
            "key": self._key,
            "visibility": self._visibility,
            "idempotency": self._idempotency,
            "policy": self._policy,
            "expected_version": self._expected,
            "decide": self._decide,
        }
        spoilers[fault]()

    def envelope(self) -> CommandEnvelope:
        return CommandEnvelope(
            type=self.type,
            schema_version=1,
            payload=msgspec.Raw(msgspec.json.encode(self.payload)),
            idempotency_key=self.key,
            expected_version=self.expected,
            trace_id="t",
        )

    def _type(self) -> None:
        self.type = "project.explode"

    def _payload(self) -> None:
        self.payload["unheard_of"] = 1

    def _key(self) -> None:
        self.key = None

    def _visibility(self) -> None:
        self.actor = OTHER

    def _idempotency(self) -> None:
        self.key = "used"

    def _policy(self) -> None:
        if self.type == "project.rename":
            self.type = "task.fire_retry"
            extra = {name: value for name, value in self.payload.items() if name == "unheard_of"}
            self.payload = {
                "workspace_id": self.payload["workspace_id"],
                "task_id": an_id(0xEE),
                "attempt": 1,
                **extra,
            }

    def _expected(self) -> None:
        self.expected = 7

    def _decide(self) -> None:
        """It is about a project that does not exist, from the start."""


async def scene(house: House) -> Wrong:
    ws = await house.workspace()
    wrong = Wrong(ws)
    used = msgspec.structs.replace(
        wrong.envelope(),
        type="workspace.rename",
        payload=msgspec.Raw(msgspec.json.encode({"workspace_id": ws, "name": "y"})),
        idempotency_key="used",
    )
    await house.send(used)
    return wrong


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fault_has_its_own_answer(fault: str) -> None:
    async with make_kernel() as house:
        wrong = await scene(house)
        wrong.spoil(fault)

        assert reason(await house.send(wrong.envelope(), actor=wrong.actor)) == SAID[fault]


@pytest.mark.parametrize(("first", "second"), PAIRS)
async def test_the_first_failure_answers(first: str, second: str) -> None:
    async with make_kernel() as house:
        wrong = await scene(house)
        wrong.spoil(second)
        wrong.spoil(first)

        assert reason(await house.send(wrong.envelope(), actor=wrong.actor)) == SAID[first]


@pytest.mark.parametrize("fault", FAULTS)
async def test_only_a_refusal_from_policy_on_or_a_used_key_leaves_an_event(fault: str) -> None:
    async with make_kernel() as house:
        wrong = await scene(house)
        wrong.spoil(fault)

        answer = await house.send(wrong.envelope(), actor=wrong.actor)

        leaves = fault in ("idempotency", "policy", "expected_version", "decide")
        assert len(answer.events) == (1 if leaves else 0)
