"""The scripted agent as a process, in a real terminal."""
