"""Heart sounds: denoising, log-mel spectrogram, network, and the model of the catalogue."""
