"""The tests, laid out as the source tree is; what several of them need lies in `support`."""
