"""At start: bring spool and records back together after a crash. The files are the truth."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import select
from sqlalchemy.orm import Session

from node import logs
from node.dicom.headers import read
from node.dicom.part10 import Command, read_file
from node.errors import OverreadError
from node.records import studies, timeline
from node.records.engine import Records
from node.records.schema import Instance, Result, Series, Study
from node.records.studies import InstanceHeader
from node.storage import Spool

BATCH = 100
"""Files entered in one transaction."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What was found: files entered in the index, files that could not be, index rows whose file is gone."""

    indexed: int = 0
    unreadable: int = 0
    missing: int = 0


def reconcile(spool: Spool, records: Records) -> Reconciled:
    """Enter files that the index lacks, and report rows whose file is gone.

    Processes of one node may call it at the same time: one of them does it, the others return at once. Names alone are
    compared, so an orderly spool is not read.
    """
    with spool.only_one("reconcile") as mine:
        if not mine:
            return Reconciled()
        with records.read() as session:
            known = set(session.scalars(select(Instance.uid))) | set(session.scalars(select(Result.uid)))
            paths = session.execute(select(Instance.uid, Instance.path)).all()
        files = dict(spool.files())
        found = [path for uid, path in files.items() if uid not in known]
        missing = [uid for uid, path in paths if uid not in files and not (spool.root / path).exists()]
        indexed = _enter(spool, records, found)
        _report(records, missing)
        done = Reconciled(indexed, len(found) - indexed, len(missing))
    if found or missing:
        logs.get("receiver").warning("spool and records differed", count=indexed, state=str(done))
    return done


def _enter(spool: Spool, records: Records, paths: Iterable[str]) -> int:
    headers = (header for path in paths if (header := _header(spool, path)) is not None)
    count = 0
    while batch := list(islice(headers, BATCH)):
        with records.write() as session:
            arrived = [studies.index(session, header).study for header in batch]
            # The associations that brought them died with the process that served them.
            studies.released(session, {study.uid for study in arrived if study is not None})
        count += len(batch)
    if count:
        with records.write() as session:
            text = f"Stored instances that were missing in the index have been entered: {count}."
            timeline.add(session, "spool.repaired", text, level="warning")
    return count


def _header(spool: Spool, path: str) -> InstanceHeader | None:
    try:
        meta, dataset = read_file(spool.root / path)
        command = Command(
            meta.sop_class, meta.sop_instance, meta.transfer_syntax, meta.calling_ae_title, meta.called_ae_title
        )
        header = read(command, memoryview(dataset))
        size = (spool.root / path).stat().st_size
    except (OverreadError, OSError) as exc:
        logs.get("receiver").error("a stored file cannot be read", path=path, error=exc)
        return None
    return dataclasses.replace(header, path=path, size=size, sha256=hashlib.sha256(dataset).hexdigest())


def _report(records: Records, uids: Sequence[str]) -> None:
    """Put one line on the timeline of each study that lost files."""
    if not uids:
        return
    with records.write() as session:
        for study, count in _lost(session, uids).items():
            text = f"{count} of the study's files are missing in the spool."
            timeline.add(session, "spool.missing", text, study=study, level="error")


def _lost(session: Session, uids: Sequence[str]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for start in range(0, len(uids), BATCH):
        query = select(Study.id).join(Study.series).join(Series.instances)
        for study in session.scalars(query.where(Instance.uid.in_(uids[start : start + BATCH]))):
            counts[study] = counts.get(study, 0) + 1
    return counts
