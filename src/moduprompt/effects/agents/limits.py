"""What one run may take: stated by adapters, held by keepers."""

import msgspec
from msgspec import structs


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Hard limits of a run. Time and output are the keeper's to enforce; `cpu_s`, `file_bytes_max` and
    `open_files_max` hold for each process (rlimits); memory, processes and cores need a control group.

    `Started.limits_held` says which of them hold here.
    """

    wall_s: float | None = None
    idle_s: float | None = None  # without output and without input
    memory_bytes_max: int | None = None
    processes_max: int | None = None
    cpu_cores_max: float | None = None
    output_bytes_max: int | None = None
    cpu_s: int | None = None
    file_bytes_max: int | None = None
    open_files_max: int | None = None


# Agent programs take 200 to 600 MB and some ten processes, and their tools take more: compilers, test suites.
# These limits end what has run away, on a machine that has others to serve, not what works hard. Silence is
# no reason to end what may wait for a person.
ANY_PROGRAM = Limits(
    wall_s=24 * 3600.0,  # a keeper whose daemon never returns ends its program then
    memory_bytes_max=8 * 1024**3,
    processes_max=2_048,
    output_bytes_max=4 * 1024**3,  # some days of a busy terminal
)

# A program that gets one prompt and is over with it: nobody is waited for, so an hour without one byte is a model or a
# network that is gone. Its own tools are bounded by minutes (claude and opencode ten, gemini five). One that tries again for
# ever and says so each time (codex without a server) has the night, and no more.
ONE_PROMPT = structs.replace(ANY_PROGRAM, wall_s=8 * 3600.0, idle_s=3600.0)

# An interpreter and its keeper; of a program that we don't know nothing is expected.
SMALL_BYTES = 24 * 1024**2
