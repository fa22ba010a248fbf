"""The real agent programs, pinned, against the scripted model; skipped where they are not installed (make agents)."""
