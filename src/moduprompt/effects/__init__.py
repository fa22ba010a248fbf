"""The hands: what the daemon does to the world outside its log. Effects report by command; they never write state."""
