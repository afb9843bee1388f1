"""Findings of images merged with what notes, labs and history say: scores, links, conflicts, priority. Pure."""
