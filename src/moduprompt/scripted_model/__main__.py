"""Starts the scripted model server: `python -m moduprompt.scripted_model`, or the folder by its path.

By path, `python -I -S .../moduprompt/scripted_model`, it needs neither site packages nor an installation.
"""

import sys

if not __package__:
    # Started by path: the folder itself leads the search path; what we import lies two above. Last, so
    # that nothing beside our package can stand in for a module of the standard library.
    sys.path.append(sys.path.pop(0).rstrip("/").removesuffix("/moduprompt/scripted_model"))

from moduprompt.scripted_model.command import main

sys.exit(main(sys.argv[1:]))
