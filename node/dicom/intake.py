"""What happens to a received object, whatever received it: check, keep, tell the indexer."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from node import logs
from node.dicom.headers import Checked, check
from node.dicom.ledger import Ended, Noted, Sink, Stored
from node.dicom.part10 import Command, file_meta, read_meta
from node.errors import DicomInputError, OutOfResources, OverreadError
from node.storage import Spool, StoredFile
from node.storage.buffer import Buffer
from node.storage.incoming import Incoming
from node.storage.promise import Promise
from node.storage.room import NO_ROOM
from node.storage.seal import read_seal

SUCCESS = 0x0000
UNEXPECTED = 0xC0FF
"""Cannot understand, for reasons that are the node's own fault (PS3.4 table B.2-1: Cxxx)."""


class Intake:
    """Takes objects in; safe to share between threads.

    Success is returned, or promised, once the object is as durable as the spool's policy says. A refused object leaves
    a line for the timeline and one in the log, and nothing in the spool.
    """

    def __init__(self, spool: Spool, sink: Sink) -> None:
        self.spool = spool
        self._sink = sink
        self._log = logs.get("receiver")

    def take(self, association: str, command: Command, dataset: memoryview) -> tuple[int, str]:
        """Take an object that is at hand; return its DIMSE status and, for a refusal, the Error Comment."""
        study_uid = ""
        try:
            checked = check(command, dataset)
            study_uid = checked.study_uid
            self.spool.require_room()
            stored = self.spool.store(command.sop_instance, file_meta(command), dataset)
            return self._taken(association, command, stored, checked)
        except Exception as exc:
            return self.refuse_error(association, command, exc, study_uid)

    def take_buffer(
        self, association: str, command: Command, meta: bytes, buffer: Buffer
    ) -> tuple[int, str, Callable[[], None] | None]:
        """Take a small object that was received into a buffer, behind room for its File Meta.

        Returns
        -------
        status, comment
            As :meth:`take` does.
        work
            What is left to do after the answer, by any thread and before the buffer is used anew; None: nothing. It
            does not raise.
        """
        study_uid = ""
        try:
            checked = check(command, buffer.data)
            study_uid = checked.study_uid
            entered = self.spool.enter(command.sop_instance, meta, buffer)
            if not isinstance(entered, Promise):
                return *self._taken(association, command, entered, checked), None
        except Exception as exc:
            return *self.refuse_error(association, command, exc, study_uid), None
        return SUCCESS, "", lambda: self._fulfil(association, command, entered, checked)

    def _fulfil(self, association: str, command: Command, promise: Promise, checked: Checked) -> None:
        try:
            stored = promise.fulfil()
            self.spool.insist(lambda: self._taken(association, command, stored, checked))
        except Exception as exc:
            # The next start finds it: by the journal, or by comparing spool and records.
            self._log.error("an object that was answered for is not in the index yet", error=exc)
        finally:
            promise.release()

    def take_file(self, association: str, command: Command, dataset: memoryview, incoming: Incoming) -> tuple[int, str]:
        """Take a long object that was received into its file; ``dataset`` is a view of that."""
        study_uid = ""
        try:
            checked = check(command, dataset)
            study_uid = checked.study_uid
            stored = self.spool.finish(incoming)
            return self._taken(association, command, stored, checked)
        except Exception as exc:
            return self.refuse_error(association, command, exc, study_uid)

    def refuse_error(self, association: str, command: Command, exc: Exception, study_uid: str = "") -> tuple[int, str]:
        """Refuse an object for an error's reason; one that nobody foresaw is not quoted."""
        if isinstance(exc, OSError) and exc.errno in NO_ROOM:  # the ledger's file, or the folder of a refused object
            exc = OutOfResources("the spool has no room or cannot be written")
        if isinstance(exc, OverreadError):
            return self.refuse(association, command.calling_ae_title, exc.dicom_status, str(exc), study_uid)
        self._log.error("an object broke the receiver", association=association, error=exc)
        return self.refuse(association, command.calling_ae_title, UNEXPECTED, "internal error", study_uid)

    def refuse(self, association: str, calling: str, status: int, reason: str, study_uid: str = "") -> tuple[int, str]:
        """Leave the two lines of a refusal, on the study's timeline where it is known, and return it."""
        word = f"{status:04X}"
        self._log.warning("object refused", association=association, ae_title=calling, status=word, reason=reason)
        source = f" from {calling}" if calling else ""
        self.note("instance.refused", f"An object{source} was refused with status {word}: {reason}.", study_uid)
        return status, reason

    def end(self, association: str) -> None:
        """Say that an association is over, however it ended."""
        self._tell(Ended(association))

    def note(self, kind: str, text: str, study_uid: str = "") -> None:
        """Put a warning on the timeline; where even the ledger cannot be written, the log has to do."""
        self._tell(Noted(kind, text, study_uid=study_uid))

    def tell_recovered(self, paths: Sequence[str]) -> None:
        """Tell the indexer of what was found when the spool was opened: it may not have been told before."""
        for path in paths:
            try:
                command, size, digest = described(self.spool.root / path)
            except (OverreadError, OSError) as exc:
                self._log.error("a recovered file cannot be read", error=exc)
                continue
            if path == self.spool.name(command.sop_instance):
                self._sink.put(Stored("", command, path, size, digest))
            else:
                self._note_beside(path)

    def _taken(self, association: str, command: Command, stored: StoredFile, checked: Checked) -> tuple[int, str]:
        if stored.beside:
            if stored.new:
                self._note_beside(stored.path, checked.study_uid)
            return SUCCESS, ""
        # An object that was there already is told too: the first time may have ended before the ledger.
        self._sink.put(Stored(association, command, stored.path, stored.size, stored.digest, checked.excerpt()))
        return SUCCESS, ""

    def _note_beside(self, path: str, study_uid: str = "") -> None:
        text = f"Another object came under a known SOP Instance UID and is kept beside it, as {path}."
        self.note("instance.conflict", text, study_uid)

    def _tell(self, entry: Ended | Noted) -> None:
        try:
            self._sink.put(entry)
        except (OverreadError, OSError) as exc:
            self._log.error("the ledger cannot be written", error=exc, kind=type(entry).__name__)


def described(file: Path) -> tuple[Command, int, str]:
    """Return what a stored file's own File Meta and seal say: command, size in bytes, digest.

    Raises
    ------
    DicomInputError
        If it is not a file that this node wrote.
    """
    with file.open("rb") as stream:
        seal = read_seal(stream.read(128))
        stream.seek(0)
        meta = read_meta(stream)
        size = os.fstat(stream.fileno()).st_size
    if seal is None:
        raise DicomInputError("the file has no seal")
    titles = (meta.calling_ae_title, meta.called_ae_title)
    return Command(meta.sop_class, meta.sop_instance, meta.transfer_syntax, *titles), size, seal.text
