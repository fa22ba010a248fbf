"""A tracked piece of work that moves through stages, behind gates, with one retry budget."""
