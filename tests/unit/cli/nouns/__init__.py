"""Unit tests of what single nouns do by themselves."""
