"""DICOM: receiving, sending, and reading what headers say."""
