"""One agent's line of work: a node in a lineage tree, with a queue of prompts."""
