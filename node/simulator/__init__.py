"""A hospital in a box: a modality, a PACS, a RIS and generated studies, for the demo, tests and commissioning."""
