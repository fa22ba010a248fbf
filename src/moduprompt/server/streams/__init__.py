"""How subscriptions become bytes on a connection."""
