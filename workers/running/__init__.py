"""Jobs through the models: claim, read, run and keep, what is read ahead and finished behind, and leases."""
