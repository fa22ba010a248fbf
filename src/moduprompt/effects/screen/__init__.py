"""A terminal's screen, drawn again from the bytes a program printed."""
