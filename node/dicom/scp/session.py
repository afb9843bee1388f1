"""What belongs to a port, and to one established association."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from node.dicom.intake import Intake
from node.dicom.scp.admission import Admission
from node.dicom.scp.negotiation import Context, Proposal
from node.dicom.services.base import Resources
from node.settings import DicomSection


@dataclass(frozen=True, slots=True)
class Port:
    """What all associations of a port share; ``connections`` counts those of this process."""

    settings: DicomSection
    intake: Intake
    admission: Admission
    resources: Callable[[], Resources]
    connections: Callable[[], int] = lambda: 1


@dataclass(frozen=True, slots=True)
class Session:
    """An established association: whose, and what was negotiated."""

    name: str
    address: str
    proposal: Proposal
    contexts: Mapping[int, Context]
    port: Port
