"""Where the log and the read models lie: one port, one conformance suite, several adapters."""
