"""Reading what git prints, and holding locks."""
