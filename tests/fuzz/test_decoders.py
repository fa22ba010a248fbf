"""Every decoder takes what it should, and says its one error to everything else: no traceback, ever.

The first run of each is the same on every machine; the second has seeds that nobody has tried, and hypothesis
prints what it failed on.
"""

import pytest
from hypothesis import HealthCheck, given, settings

from moduprompt.protocol import Rejection
from tests.support.fuzzing.bytes import damaged, spoiled
from tests.support.fuzzing.decoder import Decoder, No
from tests.support.fuzzing.decoders import DECODERS, OUR_OWN
from tests.support.fuzzing.source import decoders_found

EXAMPLES = 40
NOT_IN_THE_SOURCE = frozenset({"commands:payloads"})  # a decoder that is only a type for `decode`


def test_every_decoder_of_the_source_is_in_the_list() -> None:
    listed = {name for decoder in DECODERS for name in decoder.covers} | OUR_OWN.keys()

    assert decoders_found() - listed == set(), (
        "add it to tests/support/fuzzing/, so that hostile bytes reach it"
    )
    assert decoders_found() & OUR_OWN.keys() == OUR_OWN.keys()


def try_with(decoder: Decoder, data: bytes) -> None:
    assert decoder.outcome(data) != No(why=""), "a refusal says why"


@pytest.mark.parametrize("seeds", ["fixed", "fresh"])
@pytest.mark.parametrize("decoder", DECODERS, ids=lambda each: each.name)
def test_hostile_bytes_are_refused_in_so_many_words(decoder: Decoder, seeds: str) -> None:
    @settings(
        max_examples=EXAMPLES,
        derandomize=seeds == "fixed",
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(damaged(decoder.samples + decoder.also))
    def look(data: bytes) -> None:
        try_with(decoder, data)

    look()


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda each: each.name)
def test_what_is_known_to_be_nasty_is_refused_in_so_many_words(decoder: Decoder) -> None:
    for data in spoiled(decoder.samples[0]):
        try_with(decoder, data)


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda each: each.name)
def test_good_bytes_are_taken(decoder: Decoder) -> None:
    for data in decoder.samples:
        assert not isinstance(decoder.outcome(data), No | Rejection)


@pytest.mark.parametrize("decoder", [each for each in DECODERS if each.again], ids=lambda each: each.name)
def test_what_was_read_is_written_and_read_as_the_same(decoder: Decoder) -> None:
    assert decoder.again is not None
    for data in decoder.samples:
        found = decoder.read(data)
        assert decoder.read(decoder.again(found)) == found
