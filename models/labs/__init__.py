"""Models that read laboratory values and vital signs of the record."""
