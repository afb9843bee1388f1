"""From what is known to files: the objects and messages of one report, each written durably before it is recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO

from pydicom import Dataset, dcmread
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.contracts import InputKind
from node import durable
from node.records import results
from node.records.schema import Job, Result
from node.settings import MESSAGES
from workers.context import Context
from workers.reporting.keypixels import read_key_slices
from workers.reporting.plan import Plan, form
from workers.results import DOCUMENTS, PROFILED, build_all, view
from workers.results.common import Predecessor, ResultInput, document_uid, image_uid, seg_uid, sr_uid
from workers.results.keys import key_slices
from workers.results.messages import alert
from workers.results.messages.oru import Letter, build_oru, control_id, named
from workers.results.pdf.document import pages
from workers.results.profile import DEFAULT, Profile
from workers.results.sc import WHOLE


@dataclass(frozen=True, slots=True)
class Made:
    """One object, on disk."""

    kind: str
    profile: str
    uid: str
    sop_class: str
    path: str
    sha256: str
    predecessor: str = ""


@dataclass
class Bench:
    """Where one report is built; what its messages refer to collects in it on the way.

    Parameters
    ----------
    known
        Results that the job has already, by UID or control id.
    references
        Kind and UID of the objects that messages refer to.
    document
        The PDF report, empty where none was built.
    before
        The report that this one supersedes.
    """

    context: Context
    session: Session
    job: Job
    plan: Plan
    inp: ResultInput
    letter: Letter
    known: Mapping[str, Result] = field(init=False)
    references: list[tuple[str, str]] = field(default_factory=list)
    document: bytes = b""
    before: Predecessor | None = None

    def __post_init__(self) -> None:
        rows = self.session.scalars(select(Result).where(Result.job_fk == self.job.id))
        self.known = {row.uid: row for row in rows}

    def build(self, alerts: Sequence[alert.Due]) -> Iterator[Made]:
        """Build what is not there yet, in every profile, and the messages; alerts first.

        What is there is given as well: a destination that is new since has to get what its new report refers to.
        """
        yield from map(self._alert, alerts)
        standing = _standing(self.inp, self.known)
        yield from map(_made, standing)
        self.references = [(row.kind, row.uid) for row in standing]
        self._keep_view()
        if self.plan.pictures and self.inp.kind is InputKind.VOLUME:
            files = dict(self.context.files(self.session, self.job))
            pixels = read_key_slices(files, self.inp.sources, key_slices(self.inp))
            self.inp = replace(self.inp, key_slices=tuple(pixels))
        done = {row.kind for row in standing}
        for profile in self.plan.profiles:
            yield from self._objects(profile, [kind for kind in self.plan.kinds(profile) if kind not in done])
        yield from self._messages()

    def _keep_view(self) -> None:
        """Write what the web page shows beside the records; a result of the job is none of it."""
        for suffix, data in view.files(self.inp).items():
            durable.write(self.context.root / f"{self.job.prediction}{suffix}", data)

    def _alert(self, wanted: alert.Due) -> Made:
        letter = replace(self.letter, addressing=wanted.addressing)
        message = alert.build_alert(self.inp, [("sr", sr_uid(self.inp))], letter, wanted)
        return self._keep(
            ".hl7", message, Made("alert", wanted.addressing.key, wanted.control_id, "", "", "", wanted.corrects)
        )

    def _objects(self, profile: Profile, kinds: Sequence[str]) -> Iterator[Made]:
        before = _predecessors(self.context, self.session, self.inp, self.job, profile)
        built = build_all(self.inp, profile, kinds, before)
        if profile == self.plan.primary:
            self.references = [*named(built), *self.references]
        if profile == DEFAULT:
            self.before = before.get("sr")
        for kind, objects in built.items():
            for ds in objects:
                self.document = pages(ds) if kind == "pdf" else self.document
                there = self.known.get(str(ds.SOPInstanceUID))
                yield self._keep_object(kind, profile, ds, before.get(kind)) if there is None else _made(there)

    def _messages(self) -> Iterator[Made]:
        inp = replace(self.inp, predecessor=self.before)
        for addressing in self.plan.reports:
            key = control_id(inp, addressing)
            if key not in self.known:
                letter = replace(self.letter, addressing=addressing)
                message = build_oru(inp, self.references, letter, self.document if addressing.attach_pdf else b"")
                yield self._keep(".hl7", message, Made("oru", addressing.key, key, "", "", ""))

    def _keep_object(self, kind: str, profile: Profile, ds: Dataset, before: Predecessor | None) -> Made:
        buffer = BytesIO()
        ds.save_as(buffer, enforce_file_format=True)
        superseded = before.sop_instance_uid if before is not None else ""
        made = Made(kind, form(kind, profile).key, str(ds.SOPInstanceUID), str(ds.SOPClassUID), "", "", superseded)
        return self._keep(".dcm", buffer.getvalue(), made)

    def _keep(self, suffix: str, data: bytes, made: Made) -> Made:
        """Write a file that is on the disk before the records say that it exists."""
        folder = f"results/{hashlib.sha256(self.job.study.uid.encode()).hexdigest()[:16]}"
        path = self.context.root / folder / f"{made.uid}{suffix}"
        durable.write(path, data)
        return replace(made, path=f"{folder}/{path.name}", sha256=hashlib.sha256(data).hexdigest())


def _standing(inp: ResultInput, known: Mapping[str, Result]) -> list[Result]:
    """Return what need not be built again: of the same images and model, whatever notes and order say now.

    It was built after the segmentation of these; what an earlier model made stands before that. Where nothing is drawn
    on a radiograph, waveform or record, it is the one picture of it.
    """
    seg = known.get(seg_uid(inp))
    if seg is None:
        capture = known.get(image_uid(inp, "sc", DEFAULT, WHOLE))
        return [] if capture is None or inp.kind is InputKind.VOLUME else [capture]
    again = PROFILED | DOCUMENTS | MESSAGES
    return [row for row in known.values() if row.id > seg.id and row.kind not in again]


def _predecessors(
    context: Context, session: Session, inp: ResultInput, job: Job, profile: Profile
) -> dict[str, Predecessor]:
    """Documents of a profile that new ones supersede, by kind."""
    found = {}
    for kind in DOCUMENTS:
        own = form(kind, profile)
        row = results.newest(session, job, kind, own.key)
        if row is not None and row.uid != document_uid(inp, kind, own):
            before = dcmread(context.root / row.path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
            found[kind] = Predecessor(row.sop_class, row.uid, str(before.SeriesInstanceUID))
    return found


def _made(row: Result) -> Made:
    return Made(row.kind, row.profile, row.uid, row.sop_class, row.path, row.sha256, row.predecessor)
