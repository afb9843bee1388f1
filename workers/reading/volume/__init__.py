"""Slices become a volume: where they lie, which of them a model may have, and how irregular stacks are made regular."""
