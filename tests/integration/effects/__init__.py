"""The hands, on the real world."""
