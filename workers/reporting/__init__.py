"""From a prediction and what the record knows to deliveries; the objects are built in :mod:`workers.results`."""
