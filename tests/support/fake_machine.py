"""A machine that has as much room as a test says."""

from moduprompt.effects.runner.admission import Room


class FakeMachine:
    """Plenty of everything at first."""

    def __init__(self) -> None:
        self.memory_bytes = 1 << 40
        self.load = 0.0
        self.cores = 2
        self.descriptors: int | None = None

    def room(self) -> Room:
        return Room(
            memory_bytes=self.memory_bytes, load=self.load, cores=self.cores, descriptors=self.descriptors
        )
