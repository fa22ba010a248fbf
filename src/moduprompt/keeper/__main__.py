"""Start a keeper: `python -I -S <this file> RUN_DIR`, the spec as JSON on standard input.

It detaches (see `detach`), and the detached process is the keeper. The parent of this package goes last on the
path, so that the standard library wins and nothing beside it can be picked up by accident.
"""

import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def main(arguments: list[str]) -> int:
    """Exit codes are part of the protocol; `moduprompt.keeper.detach` lists them."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -I -S keeper/__main__.py RUN_DIR < spec.json\n")
        return 2
    from moduprompt.keeper import detach

    (run_dir,) = arguments
    detached = detach.detach(run_dir)
    if isinstance(detached, int):
        return detached
    from moduprompt.keeper.keeper import keep

    return keep(run_dir, detached.acknowledge_fd, is_subreaper=detached.is_subreaper)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
