"""An input is typed once, and into nothing that changed while its intent was synced."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from moduprompt.keeper.inputs import Input, Inputs, Refused


class Journal:
    """What was reported. While the first intent is synced the program moves on."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, object]]] = []
        self.has_changed = False

    def report(self, kind: str, fields: Mapping[str, object]) -> bool:
        self.told.append((kind, dict(fields)))
        return True

    def intend(self, fields: Mapping[str, object]) -> bool:
        self.has_changed = not self.told
        return self.report("input_intended", fields)

    def check(self) -> None:
        if self.has_changed:
            raise Refused("moved_on", "it has printed more by now")


def test_what_moved_on_while_the_intent_was_synced_gets_no_byte_and_may_be_tried_again() -> None:
    journal = Journal()
    inputs = Inputs(
        report=journal.report,
        intend=journal.intend,
        record=lambda _item, _data: None,
        printed=lambda: 7,
    )
    wanted = Input(b"\r", author="user", author_id="ada", input_id="i-1")

    with pytest.raises(Refused, match="by now"):
        inputs.push(wanted, check=journal.check)
    assert not inputs
    assert inputs.known("i-1") is None

    inputs.push(wanted, check=journal.check)
    assert inputs.known("i-1") is wanted
    assert journal.told == [
        ("input_intended", {"input_id": "i-1"}),
        ("input_failed", {"input_id": "i-1", "bytes": 0, "withdrawn": True}),
        ("input_intended", {"input_id": "i-1"}),
    ]
