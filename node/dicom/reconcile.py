"""At start: bring spool and records back together after a crash. The files are the truth.

What the ledger tells is entered before; what is left are files of a power cut that took the ledger's last lines,
and of spools that were put together by hand.
"""

from __future__ import annotations

import dataclasses
import mmap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from node import logs
from node.dicom.headers import check, read
from node.dicom.instance import InstanceHeader
from node.dicom.part10 import Command, read_meta
from node.errors import DicomInputError, OverreadError
from node.records import studies, timeline
from node.records.engine import Records
from node.records.schema import Event, Instance, Result, Series, Study
from node.storage import Spool
from node.storage.seal import seal_of
from node.storage.slots import only_one

BATCH = 100
"""Files entered in one transaction."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What was found: files entered in the index, files that are not whole and were set aside, rows without a file."""

    indexed: int = 0
    damaged: int = 0
    missing: int = 0


def reconcile(spool: Spool, records: Records) -> Reconciled:
    """Enter files that the index lacks, and report rows whose file is gone.

    Processes of one node may call it at the same time: one of them does it, the others return at once. Names alone are
    compared, so an orderly spool is not read.
    """
    with only_one(spool.root, "reconcile") as mine:
        if not mine:
            return Reconciled()
        spool.open()  # what a power cut took is brought back first, or it would be thought damaged
        with records.read() as session:
            known = set(session.scalars(select(Instance.uid))) | set(session.scalars(select(Result.uid)))
            paths = session.execute(select(Instance.uid, Instance.path)).all()
        files = dict(spool.files())
        found = [path for uid, path in files.items() if uid not in known]
        missing = [uid for uid, path in paths if uid not in files and not (spool.root / path).exists()]
        aside: list[str] = []
        indexed = _enter(records, _headers(spool, found, aside))
        _report(records, missing)
        if aside:
            _report_damaged(records, len(aside))
        done = Reconciled(indexed, len(aside), len(missing))
    if found or missing:
        logs.get("indexer").warning("spool and records differed", count=indexed, state=str(done))
    return done


def _enter(records: Records, headers: Iterator[InstanceHeader]) -> int:
    count = 0
    while batch := list(islice(headers, BATCH)):
        with records.write() as session:
            arrived = [indexed.study for indexed in studies.index_all(session, batch)]
            # The associations that brought them died with the process that served them.
            studies.released(session, {study.uid for study in arrived if study is not None})
        count += len(batch)
    if count:
        with records.write() as session:
            text = f"Stored instances that were missing in the index have been entered: {count}."
            timeline.add(session, "spool.repaired", text, level="warning")
    return count


def _headers(spool: Spool, paths: Iterable[str], aside: list[str]) -> Iterator[InstanceHeader]:
    """Yield the headers of files that are in order; what is not is set aside and named in ``aside``."""
    log = logs.get("indexer")
    for path in paths:
        try:
            if spool.make_way(path):
                aside.append(path)
                continue
            header = _read(spool.root / path, path)
        except OverreadError as exc:
            log.error("a stored file is no object that could have been received", path=path, error=exc)
            spool.set_aside(path)
            aside.append(path)
        except Exception as exc:  # the file stays for the next start; it must not keep the node from this one
            log.error("a stored file cannot be read", path=path, error=exc)
        else:
            yield header


def _read(file: Path, path: str) -> InstanceHeader:
    """Read a file that nobody told of, with every check that an object has to pass.

    Raises
    ------
    OverreadError
        If it does not pass.
    """
    with file.open("rb") as stream:
        meta = read_meta(stream)
        start = stream.tell()
        if file.stem != meta.sop_instance:
            raise DicomInputError("the file has another instance's name")
        command = Command(
            meta.sop_class, meta.sop_instance, meta.transfer_syntax, meta.calling_ae_title, meta.called_ae_title
        )
        memory = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    with memory, memoryview(memory) as view, view[start:] as dataset:
        check(command, dataset)
        header, digest = read(command, dataset), seal_of(dataset).text
    return dataclasses.replace(header, path=path, size=file.stat().st_size, digest=digest)


def _report_damaged(records: Records, count: int) -> None:
    with records.write() as session:
        text = f"Stored files that are not whole have been set aside in the spool's damaged folder: {count}."
        timeline.add(session, "spool.damaged", text, level="error")


def _report(records: Records, uids: Sequence[str]) -> None:
    """Put one line on the timeline of each study that lost files."""
    if not uids:
        return
    with records.write() as session:
        for study, count in _lost(session, uids).items():
            text = f"{count} of the study's files are missing in the spool."
            told = select(Event.id).where(Event.study_fk == study, Event.kind == "spool.missing", Event.text == text)
            if session.scalar(told.limit(1)) is None:
                timeline.add(session, "spool.missing", text, study=study, level="error")


def _lost(session: Session, uids: Sequence[str]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for start in range(0, len(uids), BATCH):
        query = select(Study.id).join(Study.series).join(Series.instances)
        for study in session.scalars(query.where(Instance.uid.in_(uids[start : start + BATCH]))):
            counts[study] = counts.get(study, 0) + 1
    return counts
