"""Tests of what the server decides by itself."""
