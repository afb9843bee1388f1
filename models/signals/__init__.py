"""Models of waveforms: electrocardiograms and heart sounds."""
