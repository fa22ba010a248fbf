"""What is true and what may happen. Pure: every fact from outside comes in as an argument."""

from moduprompt.domain.deciders import DECIDERS

__all__ = ["DECIDERS"]
