"""The tables. Patient data lives here and in files, nowhere else.

Times are UTC, stored as naive ``DATETIME`` through :class:`Utc` and seen as aware ``datetime``.
"""

from node.records.schema.arrival import Commitment, Expectation, ProcedureStep, Shortfall, Source
from node.records.schema.base import Base, Utc, now
from node.records.schema.clinical import (
    Fact,
    IdentityConflict,
    Message,
    Note,
    Observation,
    Order,
    Patient,
    Visit,
)
from node.records.schema.events import Event
from node.records.schema.imaging import Instance, Series, Study
from node.records.schema.merging import Merge
from node.records.schema.work import CommitmentRequest, Delivery, DriftSample, Job, ModelRegistration, Result

__all__ = [
    "Base",
    "Commitment",
    "CommitmentRequest",
    "Delivery",
    "DriftSample",
    "Event",
    "Expectation",
    "Fact",
    "IdentityConflict",
    "Instance",
    "Job",
    "Merge",
    "Message",
    "ModelRegistration",
    "Note",
    "Observation",
    "Order",
    "Patient",
    "ProcedureStep",
    "Result",
    "Series",
    "Shortfall",
    "Source",
    "Study",
    "Utc",
    "Visit",
    "now",
]
