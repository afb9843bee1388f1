"""One exception tree.

A class carries what its surroundings need to answer by: whether trying again may help, the DIMSE status for a DICOM
peer (PS3.7 annex C, PS3.4 table B.2-1), and the acknowledgement code for an HL7 peer (HL7 v2.5.1 table 0008).
Messages are for people and never hold patient data: name the tag, the segment, the key, not its value.
"""

from __future__ import annotations


class OverreadError(Exception):
    """Root of all errors that the node raises on purpose."""

    retryable: bool = False
    dicom_status: int = 0xC000  # Error: cannot understand
    hl7_ack: str = "AE"


class ConfigError(OverreadError):
    """The configuration is wrong; the message names the key, and the line where it stands."""


class StateError(OverreadError):
    """A study, job or delivery was asked for a step that its state does not allow."""


class InputError(OverreadError):
    """What a peer sent cannot be used."""


class DicomInputError(InputError):
    """An object that cannot be understood: truncated, without identifiers, with hostile identifiers."""

    dicom_status = 0xC000


class DatasetMismatch(DicomInputError):
    """The data set does not match the SOP class or instance that the command named (PS3.4 B.2.3, A900)."""

    dicom_status = 0xA900


class DuplicateInstance(DicomInputError):
    """An instance with this UID and other content is kept already; the one that came is refused."""

    dicom_status = 0xC001


class Hl7InputError(InputError):
    """A message that cannot be understood. ``error_code`` is of HL7 table 0357, ``location`` an ERR-2 path."""

    hl7_ack = "AE"

    def __init__(self, message: str, *, error_code: str = "207", location: str = "", ack: str | None = None) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.location = location
        if ack is not None:
            self.hl7_ack = ack


class OutOfResources(OverreadError):
    """The spool has no room, or the record store cannot take more now."""

    retryable = True
    dicom_status = 0xA700
    hl7_ack = "AE"


class DeliveryError(OverreadError):
    """A destination did not take what was sent. ``status`` is its own word (DIMSE status, HTTP status, MSA-1)."""

    retryable = True

    def __init__(self, message: str, *, status: str = "", retryable: bool = True) -> None:
        super().__init__(message)
        self.status = status
        self.retryable = retryable


class BrokerUnavailable(OverreadError):
    """The broker cannot be reached; jobs stay in the records and are queued when it returns."""

    retryable = True
