"""Limits as people read them: in their units, whoever tells of them."""

from moduprompt.cli.limits import in_words


def test_limits_of_an_adapter_are_told_in_the_words_in_which_they_are_typed() -> None:
    numbers = {
        "memory_bytes_max": 8.0 * 1024**3,
        "wall_s": 86_400.0,
        "cpu_cores_max": 1.5,
        "processes_max": 2048.0,
    }
    assert in_words(numbers) == "wall 1d, memory 8G, processes 2048, cores 1.5"
    assert in_words({}) is None
