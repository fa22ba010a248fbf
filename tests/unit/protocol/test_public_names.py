"""The public face of the protocol changes on purpose or not at all."""

import moduprompt.protocol
from tests.support.golden import GOLDEN


def test_the_public_names_are_the_pinned_ones() -> None:
    names = (GOLDEN / "protocol" / "all.txt").read_text().split()

    assert sorted(moduprompt.protocol.__all__) == names
    assert all(hasattr(moduprompt.protocol, name) for name in names)
