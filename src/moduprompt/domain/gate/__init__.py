"""A condition that blocks a stage of a task until it is satisfied."""
