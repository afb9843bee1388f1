"""To whom a message is written: what a destination wants in it, beside what is said."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from node.settings import Destination


@dataclass(frozen=True, slots=True)
class Addressing:
    """One form of a message; destinations of the same form get the same message.

    Parameters
    ----------
    application, facility
        MSH-5, MSH-6.
    enhanced
        Whether it asks for the enhanced acknowledgement (HL7 v2.5.1 section 2.9.3).
    attach_pdf
        Whether the PDF report is in it.
    """

    application: str = ""
    facility: str = ""
    enhanced: bool = False
    attach_pdf: bool = False

    @property
    def key(self) -> str:
        """Short name for records and control ids; empty for the plain form."""
        if self == PLAIN:
            return ""
        said = "\x1f".join((self.application, self.facility, str(self.enhanced), str(self.attach_pdf)))
        return hashlib.sha256(said.encode()).hexdigest()[:16]


PLAIN = Addressing()


def addressing_of(destination: Destination, kind: str) -> Addressing:
    """Return the form in which a destination gets the messages of a kind; an alert carries no document."""
    return Addressing(
        destination.receiving_application,
        destination.receiving_facility,
        destination.acknowledgement == "enhanced",
        destination.attach_pdf and kind == "oru",
    )
