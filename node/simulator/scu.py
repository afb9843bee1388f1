"""What a modality and an archive tell beside images: MPPS (PS3.4 annex F) and Instance Availability (PS3.4 annex R)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import build_context
from pynetdicom.association import Association

from node.dicom.requestor import associated
from node.dicom.services.availability import AVAILABILITY_NOTIFICATION
from node.dicom.services.procedure_step import PROCEDURE_STEP
from node.records.commitments import Reference
from node.simulator.commitment import reference_item
from node.simulator.modality import AE_TITLE


class Scu:
    """Sends N-CREATE and N-SET, each on an association of its own.

    Every method returns the status that was answered, or None where no answer came, and raises
    :class:`~node.errors.DeliveryError` if no association comes about.
    """

    def __init__(self, host: str, port: int, called_ae: str, calling_ae: str = AE_TITLE, timeout: float = 30.0) -> None:
        self._where = (host, port, called_ae, calling_ae, timeout)

    def create_step(self, uid: str | None, ds: Dataset) -> int | None:
        """Begin a procedure step; without a UID the other side chooses it."""
        return self._call(PROCEDURE_STEP, lambda assoc: assoc.send_n_create(ds, PROCEDURE_STEP, uid))

    def set_step(self, uid: str, ds: Dataset) -> int | None:
        """Change a procedure step."""
        return self._call(PROCEDURE_STEP, lambda assoc: assoc.send_n_set(ds, PROCEDURE_STEP, uid))

    def notify(self, uid: str | None, ds: Dataset) -> int | None:
        """Say which instances are available."""
        sop_class = AVAILABILITY_NOTIFICATION
        return self._call(sop_class, lambda assoc: assoc.send_n_create(ds, sop_class, uid))

    def _call(self, sop_class: str, send: Callable[[Association], tuple[Dataset, Any]]) -> int | None:
        with associated([build_context(sop_class)], *self._where) as assoc:
            answer, _ = send(assoc)
        status = getattr(answer, "Status", None)
        return None if status is None else int(status)


def step_created(study_uid: str, modality: str = "MR", station: str = AE_TITLE) -> Dataset:
    """Return the attributes of a step that begins (PS3.4 table F.7.2-1), without a patient."""
    ds = Dataset()
    scheduled = Dataset()
    scheduled.StudyInstanceUID = study_uid
    scheduled.AccessionNumber = ""
    scheduled.RequestedProcedureID = ""
    ds.ScheduledStepAttributesSequence = [scheduled]
    ds.PatientName = ds.PatientID = ""
    ds.PerformedProcedureStepID = "PPS1"
    ds.PerformedStationAETitle = station
    ds.PerformedProcedureStepStartDate, ds.PerformedProcedureStepStartTime = "20260101", "080000"
    ds.PerformedProcedureStepStatus = "IN PROGRESS"
    ds.Modality = modality
    ds.PerformedSeriesSequence = []
    return ds


def step_set(status: str | None, images: Iterable[Reference] = (), others: Iterable[Reference] = ()) -> Dataset:
    """Return the attributes of a change: a status, and one performed series with what it holds."""
    ds, series = Dataset(), Dataset()
    if status is not None:
        ds.PerformedProcedureStepStatus = status
    series.SeriesInstanceUID = "2.25.1"
    series.ReferencedImageSequence = [reference_item(*pair) for pair in images]
    series.ReferencedNonImageCompositeSOPInstanceSequence = [reference_item(*pair) for pair in others]
    ds.PerformedSeriesSequence = [series]
    return ds


def availability(study_uid: str, references: Iterable[Reference], value: str = "ONLINE") -> Dataset:
    """Return a notification about one series (PS3.4 table R.3.2-1)."""
    ds, series = Dataset(), Dataset()
    ds.ReferencedPerformedProcedureStepSequence = []
    ds.StudyInstanceUID = study_uid
    series.SeriesInstanceUID = "2.25.1"
    series.ReferencedSOPSequence = [reference_item(*pair) for pair in references]
    for item in series.ReferencedSOPSequence:
        item.InstanceAvailability, item.RetrieveAETitle = value, "ARCHIVE"
    ds.ReferencedSeriesSequence = [series]
    return ds
