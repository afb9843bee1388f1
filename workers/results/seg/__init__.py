"""Segmentations of volumes and radiographs: their frames, functional groups and segments."""
