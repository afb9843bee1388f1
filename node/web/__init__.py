"""The web side: worklist, study page, operations, a JSON interface, health and metrics."""
