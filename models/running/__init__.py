"""Running models: resident in a process of their own, with the precision, tiles and time that they are given."""
