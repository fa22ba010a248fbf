"""What one run may take: stated by adapters, held by keepers."""

import msgspec


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
# no reason to end anything.
ANY_PROGRAM = Limits(
    wall_s=24 * 3600.0,  # a keeper whose daemon never returns ends its program then
    memory_bytes_max=8 * 1024**3,
    processes_max=2_048,
    output_bytes_max=4 * 1024**3,  # some days of a busy terminal
)

# An interpreter and its keeper; of a program that we don't know nothing is expected.
SMALL_BYTES = 24 * 1024**2
