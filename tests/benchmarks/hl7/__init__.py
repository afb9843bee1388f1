"""Messages a second, received and acknowledged, beside python-hl7 and hl7apy (see `__main__.py`)."""
