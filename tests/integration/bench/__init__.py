"""The benchmarks, each run once with almost nothing to do."""
