"""The patient's values from the records, and the series whose study gets what a model says of them."""
