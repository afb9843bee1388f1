"""What happens to a received object, whatever received it: check, store, hand to the index."""

from __future__ import annotations

import dataclasses

from node import logs
from node.dicom.headers import read
from node.dicom.indexer import Ended, Indexer, Noted, Stored
from node.dicom.part10 import Command, file_meta
from node.errors import OverreadError
from node.records.studies import InstanceHeader
from node.storage import Spool

SUCCESS = 0x0000
UNEXPECTED = 0xC0FF
"""Cannot understand, for reasons that are the node's own fault (PS3.4 table B.2-1: Cxxx)."""


class Intake:
    """Takes objects in; safe to share between threads."""

    def __init__(self, spool: Spool, indexer: Indexer) -> None:
        self._spool = spool
        self._indexer = indexer
        self._log = logs.get("receiver")

    def take(self, association: str, command: Command, dataset: memoryview) -> tuple[int, str]:
        """Take one object and return its DIMSE status and, for a refusal, the Error Comment.

        Success is returned once the object survives a power cut. A refused object leaves a line in the timeline and one
        in the log, and nothing in the spool.
        """
        study_uid = ""
        try:
            header = read(command, dataset)
            study_uid = header.study_uid
            self._keep(association, command, dataset, header)
        except OverreadError as exc:
            return self.refuse(association, command.calling_ae_title, exc.dicom_status, str(exc), study_uid)
        except Exception as exc:
            self._log.error("an object broke the receiver", association=association, error=exc)
            return self.refuse(association, command.calling_ae_title, UNEXPECTED, "internal error")
        return SUCCESS, ""

    def refuse(self, association: str, calling: str, status: int, reason: str, study_uid: str = "") -> tuple[int, str]:
        """Leave the two lines of a refusal, on the study's timeline where it is known, and return it."""
        word = f"{status:04X}"
        self._log.warning("object refused", association=association, ae_title=calling, status=word, reason=reason)
        source = f" from {calling}" if calling else ""
        self.note("instance.refused", f"An object{source} was refused with status {word}: {reason}.", study_uid)
        return status, reason

    def end(self, association: str) -> None:
        """Say that an association is over, however it ended."""
        self._indexer.put(Ended(association), patience=None)

    def note(self, kind: str, text: str, study_uid: str = "") -> None:
        """Put a warning on the timeline; dropped, not waited for, where the records are far behind."""
        try:
            self._indexer.put(Noted(kind, text, study_uid=study_uid), patience=0.1)
        except OverreadError:
            self._log.warning("a line did not fit on the timeline", kind=kind)

    def _keep(self, association: str, command: Command, dataset: memoryview, header: InstanceHeader) -> None:
        stored = self._spool.store(command.sop_instance, file_meta(command), dataset)
        # An object that was there already is handed over too: the first time may have ended before the index.
        entered = dataclasses.replace(header, path=stored.path, size=stored.size, sha256=stored.sha256)
        self._indexer.put(Stored(association, entered))
