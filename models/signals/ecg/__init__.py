"""Rhythm of electrocardiograms: preparation, intervals, network, and the model of the catalogue."""
