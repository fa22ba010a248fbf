"""Tests of how subscriptions become bytes."""
