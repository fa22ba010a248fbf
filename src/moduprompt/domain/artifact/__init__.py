"""Stored bytes named by their hash: texts and recordings, each within one workspace, until erased."""
