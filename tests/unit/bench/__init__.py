"""Tests of how figures are judged and written down."""
