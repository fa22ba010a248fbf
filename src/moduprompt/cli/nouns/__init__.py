"""One file per noun: its verbs, their words, and what people get to read."""
