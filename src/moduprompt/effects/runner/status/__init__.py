"""What a run is doing: looks at it, and the rules that say what a look means."""
