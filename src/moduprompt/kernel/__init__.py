"""The engine: gates, one writer, and what wakes when something has become durable."""
