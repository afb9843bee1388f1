"""From the files of a series to the source that a model gets, or a refusal with its reason: a package for each kind."""
