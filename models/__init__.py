"""Everything that infers: arrays, signals, text and labs in, findings out; and training.

This room knows nothing of DICOM, HL7, queues or databases. What it takes and gives is in :mod:`models.contracts`.
"""
