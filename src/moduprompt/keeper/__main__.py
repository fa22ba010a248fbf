"""Start a keeper: `python -I -S <this file> RUN_DIR`, the spec as JSON on standard input.

Two lives of one file. Called plainly it detaches (see `detach`), and the detached process comes back
here with `keep`. The parent of this package goes last on the path, so that the standard library wins
and nothing beside it can be picked up by accident.
"""

import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def main(arguments: list[str]) -> int:
    """Exit codes are part of the protocol; `moduprompt.keeper.detach` lists them."""
    match arguments:
        case ["keep", run_dir, acknowledge_fd, subreaper]:
            from moduprompt.keeper.keeper import keep

            return keep(run_dir, int(acknowledge_fd), is_subreaper=subreaper == "subreaper")
        case [run_dir]:
            from moduprompt.keeper.detach import detach

            return detach(os.path.abspath(__file__), run_dir)
        case _:
            sys.stderr.write("usage: python -I -S keeper/__main__.py RUN_DIR < spec.json\n")
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
