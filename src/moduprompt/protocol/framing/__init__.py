"""How a stream of events is cut into frames, one file per technique. All of it is sans-I/O."""
