"""What keepers of version 1 said and understood stays so: the bytes are frozen in tests/golden/keeper_v1."""

import pytest

from moduprompt.keeper import wire
from tests.support import keeper_v1

MESSAGES = {**keeper_v1.REQUESTS, **keeper_v1.ANSWERS}


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_message_still_has_the_bytes_it_was_frozen_with(name: str) -> None:
    kind, message = MESSAGES[name]

    assert wire.encode(kind, message) == keeper_v1.golden(name)


def test_output_still_has_the_bytes_it_was_frozen_with() -> None:
    frame = wire.encode_output(keeper_v1.OUTPUT_OFFSET, keeper_v1.OUTPUT_DATA)

    assert frame == keeper_v1.golden(keeper_v1.OUTPUT_NAME)


def test_every_golden_frame_is_one_we_know() -> None:
    names = {path.stem for path in keeper_v1.GOLDEN.glob("*.bin")}

    assert names == {*MESSAGES, keeper_v1.OUTPUT_NAME}
