"""A Part 10 file on its way in by another door than an association: a private copy, and its handing over.

STOW-RS and the watched folder put what they get into a :class:`Landing`, an unnamed file in ``spool/incoming`` that
only this process can reach: nobody can change or shorten it while it is mapped, and whatever ends the process removes
it. :meth:`Landing.hand` then tells :class:`~node.dicom.intake.Intake`, which decides and makes it durable.
"""

from __future__ import annotations

import mmap
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Protocol

from node.dicom.files import BEGINNING, guess
from node.dicom.headers import BIG_ENDIAN, IMPLICIT, identity, read
from node.dicom.part10 import PREAMBLE, Command, FileMeta, read_meta
from node.dicom.structure import scan
from node.dicom.uid import is_uid
from node.errors import DicomInputError, OutOfResources, OverreadError
from node.storage.layout import INCOMING

FIRST_BYTES = 1 << 20
"""File Meta Information lies within these; more is not mapped to read it."""
PIXEL_DATA = 0x7FE00010
AGAIN, TOO_LARGE, OTHER_STUDY = 0xA700, 0xA701, 0xA901
"""Statuses of PS3.4 table B.2-1 and PS3.18 table I.2-2 that decide what happens next."""


class Taker(Protocol):
    """What an inlet needs of :class:`~node.dicom.intake.Intake`."""

    def take(self, association: str, command: Command, dataset: memoryview) -> tuple[int, str]:
        """Take one object; return its DIMSE status and a comment."""
        ...

    def refuse(self, association: str, calling: str, status: int, reason: str, study_uid: str = "") -> tuple[int, str]:
        """Leave the lines of a refusal and return it."""
        ...

    def end(self, association: str) -> None:
        """Say that an association is over."""
        ...

    def note(self, kind: str, text: str, study_uid: str = "") -> None:
        """Put a warning on the timeline."""
        ...


class TooLarge(DicomInputError):
    """An object longer than ``dicom.max_instance_bytes``: out of resources, and trying again does not help."""

    dicom_status = TOO_LARGE


class OtherStudy(DicomInputError):
    """An instance of another study than the one that the request is for.

    PS3.18 table I.2-2 has no code for it; this one is of its range A9xx, "does not match", and others use it too.
    """

    dicom_status = OTHER_STUDY


@dataclass(frozen=True, slots=True)
class Source:
    """Through which door an object came: its association's name, and what stands for the two AE titles."""

    association: str
    calling: str
    called: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an object. The UIDs are as its File Meta gives them, empty where it gives none that is one."""

    status: int
    comment: str = ""
    sop_class: str = ""
    sop_instance: str = ""

    @property
    def kept(self) -> bool:
        """Whether it is kept: Success, or Success with a warning (PS3.7 annex C.3, C.4)."""
        return self.status == 0 or self.status >> 12 == 0xB

    @property
    def again(self) -> bool:
        """Whether it may be taken another time, without a change."""
        return self.status == AGAIN


class Landing:
    """One object on its way in; close it in any case.

    Parameters
    ----------
    spool
        The spool's root.
    limit
        Most bytes it may have.
    room
        Asked before every write; raises :class:`OutOfResources` where the spool may not grow.
    """

    def __init__(self, spool: Path, limit: int, room: Callable[[], None]) -> None:
        self.size = 0
        self._limit = limit
        self._room = room
        self._room()
        try:
            (spool / INCOMING).mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=spool / INCOMING, buffering=0)  # noqa: SIM115
        except OSError as exc:
            raise OutOfResources("the spool has no room or cannot be written") from exc

    def write(self, data: bytes | bytearray) -> None:
        """Append.

        Raises
        ------
        TooLarge
            If it becomes longer than the limit; its beginning stays, so that it can be named.
        OutOfResources
            If there is no room.
        """
        self._room()
        view = memoryview(data)[: self._limit - self.size]
        fits = len(view) == len(data)
        try:
            while view:
                count = self._file.write(view)
                self.size += count
                view = view[count:]
        except OSError as exc:
            raise OutOfResources("the spool has no room or cannot be written") from exc
        if not fits:
            raise TooLarge("the object is larger than dicom.max_instance_bytes")

    def hand(self, taker: Taker, source: Source, *, bare: bool = False, study: str = "") -> Taken:
        """Hand the object over and return what was answered; blocks until it is durable.

        Parameters
        ----------
        bare
            Whether it may lack the preamble, or all File Meta Information, if its encoding is beyond doubt.
        study
            Study Instance UID that it has to have; empty: any.
        """
        meta = FileMeta()
        try:
            mapped = self._map()
            meta, offset = (_bare if bare else _whole)(mapped)
            dataset = memoryview(mapped)[offset:]
            command = Command(meta.sop_class, meta.sop_instance, meta.transfer_syntax, source.calling, source.called)
            if study:
                _check_study(command, dataset, study)
        except OverreadError as exc:
            return self.refused(taker, source, exc, meta)
        return _named(Taken(*taker.take(source.association, command, dataset)), meta)

    def refused(self, taker: Taker, source: Source, reason: OverreadError, meta: FileMeta | None = None) -> Taken:
        """Refuse it for a reason that is known already, with the UIDs that it has."""
        named = meta or self._beginning()
        return _named(Taken(*taker.refuse(source.association, source.calling, reason.dicom_status, str(reason))), named)

    def is_directory(self) -> bool:
        """Whether it is a DICOMDIR (PS3.10 section 8.6)."""
        return self._beginning().sop_class == "1.2.840.10008.1.3.10"

    def close(self) -> None:
        """Forget the copy."""
        self._file.close()

    def _beginning(self) -> FileMeta:
        self._file.seek(0)
        try:
            return read_meta(BytesIO(self._file.read(min(self.size, FIRST_BYTES))))
        except OverreadError:
            return FileMeta()

    def _map(self) -> mmap.mmap:
        if not self.size:
            raise DicomInputError("not a DICOM file: empty")
        try:
            return mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as exc:
            raise OutOfResources("the object cannot be mapped") from exc


def _whole(mapped: mmap.mmap) -> tuple[FileMeta, int]:
    """Read the File Meta Information that a Part 10 file begins with, and where its data set begins."""
    stream = BytesIO(mapped[:FIRST_BYTES])
    meta = read_meta(stream)
    if not is_uid(meta.transfer_syntax):
        raise DicomInputError("File Meta Information has no Transfer Syntax UID")
    return meta, stream.tell()


def _bare(mapped: mmap.mmap) -> tuple[FileMeta, int]:
    """Read what there is of File Meta Information, and the rest from the data set."""
    stream = BytesIO(mapped[:FIRST_BYTES])
    has_preamble = stream.read(len(PREAMBLE))[128:] == b"DICM"
    stream.seek(0)
    meta = read_meta(stream, prefix=has_preamble)
    if is_uid(meta.transfer_syntax) and meta.sop_class and meta.sop_instance:
        return meta, stream.tell()
    syntax = meta.transfer_syntax or guess(mapped[stream.tell() : stream.tell() + 8])
    dataset = memoryview(mapped)[stream.tell() :]
    if not meta.transfer_syntax:
        _check_guess(dataset, syntax)
    try:
        sop_class, sop_instance = identity(dataset[:BEGINNING], syntax)
    except zlib.error as exc:
        raise DicomInputError("not a DICOM file: it does not inflate") from exc
    if not (is_uid(sop_class) and is_uid(sop_instance)):
        raise DicomInputError("not a DICOM file, or one without SOP class and instance")
    return replace(meta, sop_class=sop_class, sop_instance=sop_instance, transfer_syntax=syntax), stream.tell()


def _check_guess(dataset: memoryview, syntax: str) -> None:
    """Refuse compressed pixels under a guessed transfer syntax: nothing says how they are compressed."""
    elements = scan(dataset, implicit=syntax in IMPLICIT, little=syntax not in BIG_ENDIAN)
    if PIXEL_DATA in elements and elements[PIXEL_DATA].items is not None:
        raise DicomInputError("the object has compressed pixels and no Transfer Syntax UID")


def _check_study(command: Command, dataset: memoryview, study: str) -> None:
    if read(command, dataset).study_uid != study:
        raise OtherStudy("the instance belongs to another study than the request names")


def _named(taken: Taken, meta: FileMeta) -> Taken:
    if not (is_uid(meta.sop_class) and is_uid(meta.sop_instance)):
        return taken
    return replace(taken, sop_class=meta.sop_class, sop_instance=meta.sop_instance)
