"""Running agent programs: `port.py` says what is promised, `local.py` keeps it with a keeper for each run."""
