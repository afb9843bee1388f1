"""Registration: ADT^A01, A04, A08 (HL7 v2.5.1 sections 3.3.1, 3.3.4, 3.3.8)."""

from __future__ import annotations

from node.hl7.handlers.common import Incoming, patient_of


def register(incoming: Incoming) -> str:
    """Take over who the patient is."""
    patient_of(incoming)
    return "the patient's demographics were taken over"
