"""Decisions, all pure: when a study is whole, which rule wants it, how urgent it is."""
