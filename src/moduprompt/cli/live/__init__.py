"""A workspace as it lives: a picture in a terminal, a line per change in a pipe."""
