"""Objects a second from the ledger to an archive, beside `dcmsend`: `python -m tests.benchmarks.delivery`.

Both send the same kinds of objects (segmentations of 30 to 100 kB, a short report for each) to the same Orthanc over
one association, in turns, with new UIDs in each run. `dcmsend` is timed from its start to its end; the node from the
first look into its records until the last object is recorded as accepted there, on the disk.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.uid import UID, ExplicitVRLittleEndian
from rich.console import Console
from rich.progress import track
from sqlalchemy import func, select

from node.delivery.outbox import Outbox
from node.records import results
from node.records.engine import Records
from node.records.schema import Delivery, Result
from node.records.states import DeliveryState
from node.settings import Destination, NodeSection, Settings
from tests import factories
from tests.peers import FAST, Orthanc

SEG, SR = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.34"
PLACE, STUDY, SERIES = (f"2.25.{digit * 39}" for digit in "987")
"""Stand for the UIDs in a template, and are as long as those that take their places."""
REPORT_ITEMS = 20
"""Content items of a report: Orthanc takes longer for an item than for a kilobyte of pixels."""
MEMORY = Path("/dev/shm")  # noqa: S108


def template(sop_class: str, size: int) -> bytes:
    """Return a segmentation of about ``size`` bytes, or a report."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, PLACE
    ds.StudyDate = ds.StudyTime = ds.AccessionNumber = ds.ReferringPhysicianName = ds.StudyID = ""
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Bench^Mark", "BENCH", "", ""
    ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY, SERIES
    ds.SeriesNumber = ds.InstanceNumber = 1
    if sop_class == SEG:
        ds.Modality, ds.SegmentationType, ds.PhotometricInterpretation = "SEG", "BINARY", "MONOCHROME2"
        ds.Rows = ds.Columns = 256
        ds.NumberOfFrames = size * 8 // 65536
        ds.SamplesPerPixel = ds.BitsAllocated = ds.BitsStored = 1
        ds.HighBit = ds.PixelRepresentation = 0
        ds.PixelData = random.Random(size).randbytes(ds.NumberOfFrames * 8192)
    else:
        ds.Modality, ds.ValueType, ds.CompletionFlag, ds.VerificationFlag = "SR", "CONTAINER", "COMPLETE", "UNVERIFIED"
        ds.ContentSequence = [_item(number) for number in range(REPORT_ITEMS)]
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = UID(sop_class), UID(PLACE)
    buffer = DicomBytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _item(number: int) -> Dataset:
    item, code = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "121071", "DCM", "Finding"
    item.RelationshipType, item.ValueType, item.ConceptNameCodeSequence = "CONTAINS", "TEXT", [code]
    item.TextValue = f"Finding {number}: nothing to be seen here."
    return item


def templates() -> list[tuple[str, bytes]]:
    """Return SOP classes and files: as many segmentations as reports."""
    sizes = range(30_000, 100_001, 10_000)
    return [(sop_class, template(sop_class, size)) for size in sizes for sop_class in (SEG, SR)]


def write(folder: Path, count: int, made: list[tuple[str, bytes]]) -> list[tuple[str, str, Path]]:
    """Write new objects of a new study; gives kind, UID and path of each."""
    folder.mkdir(parents=True)
    found = []
    study, *series = (new_uid() for _ in range(3))
    for number in range(count):
        sop_class, data = made[number % len(made)]
        uid, path = new_uid(), folder / f"{number}.dcm"
        for place, value in ((PLACE, uid), (STUDY, study), (SERIES, series[sop_class == SEG])):
            data = data.replace(place.encode(), value.encode())
        path.write_bytes(data)
        found.append(("seg" if sop_class == SEG else "sr", uid, path))
    return found


def new_uid() -> str:
    """Return a UID of the length of those in the templates."""
    return f"2.25.{random.randrange(10**38, 3 * 10**38)}"


def dcmsend(program: str, peer: Orthanc, folder: Path, count: int, made: list[tuple[str, bytes]]) -> float:
    """Send with DCMTK; returns objects a second."""
    write(folder, count, made)
    command = [program, "-aec", "ORTHANC", "127.0.0.1", str(peer.dicom_port), "--scan-directories", str(folder)]
    begin = time.perf_counter()
    subprocess.run(command, env={**os.environ, **FAST}, check=True, timeout=300)
    return count / (time.perf_counter() - begin)


class Node:
    """A node's records and its outbox, as the gateway keeps them from one study to the next."""

    def __init__(self, peer: Orthanc, folder: Path) -> None:
        self._folder = folder
        self._root = Path(tempfile.mkdtemp(prefix="overread-bench-ledger-"))
        self.records = Records(f"sqlite:///{self._root / 'overread.sqlite'}")
        self.records.migrate()
        to = Destination(name="pacs", kind="dicom", host="127.0.0.1", port=peer.dicom_port, ae_title="ORTHANC")
        self._box = Outbox(to, Settings(node=NodeSection(root=folder), destinations=(to,)), self.records)

    def send(self, name: str, count: int, made: list[tuple[str, bytes]]) -> float:
        """Queue objects, and send them on an association of their own; returns objects a second."""
        objects = write(self._folder / name, count, made)
        with self.records.write() as session:
            job = factories.job(session, factories.study(session, f"1.2.{name}"))
            for kind, uid, path in objects:
                row = Result(kind=kind, uid=uid, path=str(path.relative_to(self._folder)), sha256="")
                results.add(session, job, row, ["pacs"])
        begin = time.perf_counter()
        while self._box.work():
            pass
        seconds = time.perf_counter() - begin
        self._box.close()
        with self.records.read() as session:
            open_ = Delivery.state != DeliveryState.ACCEPTED
            assert session.scalar(select(func.count(Delivery.id)).where(open_)) == 0
        return count / seconds

    def close(self) -> None:
        """Remove the records."""
        self.records.close()
        shutil.rmtree(self._root)


@contextmanager
def orthanc(folder: Path) -> Iterator[Orthanc]:
    """Run an Orthanc."""
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if program is None:
        sys.exit("the benchmark needs Orthanc and dcmsend")
    server = Orthanc(program, folder)
    try:
        yield server
    finally:
        server.stop()


def measure(runs: int, count: int) -> dict[str, object]:
    """Run the benchmark; returns medians and spreads."""
    program = shutil.which("dcmsend") or sys.exit("the benchmark needs Orthanc and dcmsend")
    folder = Path(tempfile.mkdtemp(prefix="overread-bench-", dir=MEMORY if MEMORY.is_dir() else None))
    made = templates()
    rates: dict[str, list[float]] = {"dcmsend": [], "overread": []}
    try:
        with orthanc(folder / "orthanc") as peer:
            before = len(peer.get("/instances"))
            node = Node(peer, folder)
            for number in track(range(runs + 1), "runs", console=Console(stderr=True)):
                turns = {
                    "dcmsend": lambda number=number: dcmsend(program, peer, folder / f"dcmsend{number}", count, made),
                    "overread": lambda number=number: node.send(f"node{number}", count, made),
                }
                for name in sorted(turns, reverse=number % 2 == 1):
                    rate = turns[name]()
                    if number:  # the first warms up
                        rates[name].append(rate)
                shutil.rmtree(folder / f"dcmsend{number}")
                shutil.rmtree(folder / f"node{number}")
            node.close()
            stored = len(peer.get("/instances")) - before
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    medians = {name: statistics.median(found) for name, found in rates.items()}
    return {
        "objects": count,
        "bytes": [min(len(data) for _, data in made), max(len(data) for _, data in made)],
        "runs": runs,
        "stored": stored,
        "objects_per_second": {
            name: {"median": round(medians[name]), "runs": [round(rate) for rate in found]}
            for name, found in rates.items()
        },
        "ratio": round(medians["overread"] / medians["dcmsend"], 3),
    }


def main(arguments: list[str]) -> None:
    """Measure, and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    options = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    found = measure(options.runs, options.count)
    if options.json:
        print(json.dumps(found, indent=2))  # noqa: T201
        return
    for name, rate in found["objects_per_second"].items():  # type: ignore[attr-defined]
        print(f"{name:10} {rate['median']} objects/s ({min(rate['runs'])} to {max(rate['runs'])})")  # noqa: T201
    print(f"overread / dcmsend: {found['ratio']}")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
