"""A short account that a session gives of itself: what others read before its transcript."""
