"""Starts the scripted agent: `python -m moduprompt.scripted SCRIPT.toml`, or the folder by its path.

By path, `python -I -S .../moduprompt/scripted SCRIPT.toml`, it needs neither site packages nor an
installation, and nothing in the environment or the working directory changes what it imports.
"""

import sys

if not __package__:
    # Started by path: the folder itself leads the search path; what we import lies two above. Last, so
    # that nothing beside our package can stand in for a module of the standard library.
    sys.path.append(sys.path.pop(0).rstrip("/").removesuffix("/moduprompt/scripted"))

from moduprompt.scripted.agent import main

sys.exit(main(sys.argv[1:]))
