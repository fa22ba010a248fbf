"""A unit of work over one or more git repositories."""
