"""Tests of single decisions and functions, without the world."""
