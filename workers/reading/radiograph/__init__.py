"""One image of a series becomes a radiograph: which one, and its grey values as a viewer shows them first."""
