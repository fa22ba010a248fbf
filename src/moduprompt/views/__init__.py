"""Pure read models that span aggregates."""
