"""The four languages in which agent programs ask a model: one file each, and what they have in common."""
