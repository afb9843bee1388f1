"""A multiplex group becomes a waveform: which one, what its channels are called, and its samples in their unit."""
