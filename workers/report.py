"""From a prediction to delivered objects: gather what the record knows, build, keep, queue the deliveries.

A report is made again when its context (notes, order) changed; the same images and the same context make the same UIDs,
so that a second run finds its work done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from io import BytesIO

from pydicom import Dataset, dcmread
from sqlalchemy import select
from sqlalchemy.orm import Session

from node import __version__, durable
from node.records import jobs, results
from node.records.schema import Job, Note, Result, now
from node.records.states import JobState
from workers import gather, predictions
from workers.context import Context
from workers.keypixels import read_key_slices
from workers.plan import Plan, form, make_plan
from workers.results import DOCUMENTS, PROFILED, build_all
from workers.results.common import Predecessor, ResultInput, document_uid, seg_uid, sr_uid
from workers.results.headers import check_planes
from workers.results.keys import key_slices
from workers.results.oru import build_oru, control_id, named
from workers.results.profile import DEFAULT, Profile

ROUNDS = 5
"""How often a report is begun anew because a note came while it was built."""


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


def make(context: Context, job_id: str) -> None:
    """Build the results of a job that is INFERRED, and finish it."""
    for _ in range(ROUNDS):
        with context.records.read() as session:
            job = session.get(Job, job_id)
            if job is None or job.state is not JobState.INFERRED:
                return
            plan = make_plan(context.settings.destinations, job.destinations)
            notes = gather.notes_of(session, job)
            digest = gather.digest_of(job, notes)
            inp = _gather(context, session, job, notes, digest)
            made = [] if _is_made(session, job, inp, plan) else list(_build(context, session, inp, job, plan))
        if _finish(context, job_id, plan, digest, made):
            return
    context.log.warning("build.unsettled", job=job_id)  # stays INFERRED: the gateway asks again


def _gather(context: Context, session: Session, job: Job, notes: list[Note], digest: str) -> ResultInput:
    previous = results.newest(session, job, "sr")
    sources = context.headers(session, job)
    prediction, card = predictions.read(context.root / job.prediction)
    check_planes(sources, prediction, predictions.read_planes(context.root / job.prediction))
    inp = ResultInput(
        sources=sources,
        prediction=prediction,
        card=card,
        input_digest=job.input_digest,
        context_digest=digest,
        job_id=job.id,
        now=gather.made_at(job, notes),
        software_version=__version__,
        note_facts=tuple(fact for note in notes for fact in gather.facts_of(note)),
        order=gather.order_context(job.study.order),
        institution=context.settings.node.institution,
    )
    if previous is not None and session.scalar(select(Result.id).where(Result.uid == sr_uid(inp))) is not None:
        inp = returned(inp, previous)
    return inp


def returned(inp: ResultInput, newest: Result) -> ResultInput:
    """Tell the report of a context that held before from the one that was made then.

    A note that was changed and changed back must not leave the report of the time between as the newest. The new one's
    UIDs come from the context and the report that it supersedes, so that a repetition finds it made.
    """
    if newest.uid == sr_uid(inp):
        return inp
    after = [
        replace(inp, context_digest=jobs.context_digest([inp.context_digest, uid]))
        for uid in (newest.predecessor, newest.uid)
    ]
    return after[0] if newest.uid == sr_uid(after[0]) else after[1]


def _is_made(session: Session, job: Job, inp: ResultInput, plan: Plan) -> bool:
    """Whether the report of this context is there, and every kind and profile that somebody is to get."""
    rows = session.execute(select(Result.uid, Result.kind, Result.profile).where(Result.job_fk == job.id)).all()
    there = {(kind, profile) for _, kind, profile in rows}
    wanted = {(kind, form(kind, profile).key) for profile in plan.profiles for kind in plan.kinds(profile)}
    return sr_uid(inp) in {uid for uid, _, _ in rows} and wanted <= there


def _build(context: Context, session: Session, inp: ResultInput, job: Job, plan: Plan) -> Iterator[Made]:
    """Build what is not there yet, in every profile, and the message.

    What is there is given as well: a destination that is new since has to get what its new report refers to.
    """
    known = {row.uid: row for row in session.scalars(select(Result).where(Result.job_fk == job.id))}
    folder = f"results/{hashlib.sha256(job.study.uid.encode()).hexdigest()[:16]}"
    standing = _standing(inp, known)
    yield from map(_made, standing)
    done = {row.kind for row in standing}
    if plan.pictures:
        files = dict(context.files(session, job))
        inp = replace(inp, key_slices=tuple(read_key_slices(files, inp.sources, key_slices(inp))))
    references = [(row.kind, row.uid) for row in standing]
    for profile in plan.profiles:
        before = _predecessors(context, session, inp, job, profile)
        built = build_all(inp, profile, [kind for kind in plan.kinds(profile) if kind not in done], before)
        if profile == plan.primary:
            references = [*named(built), *references]
        if profile == DEFAULT:
            superseding = replace(inp, predecessor=before.get("sr"))
        for kind, objects in built.items():
            for ds in objects:
                there = known.get(str(ds.SOPInstanceUID))
                if there is None:
                    yield _keep_object(context, folder, kind, profile, ds, before.get(kind))
                else:
                    yield _made(there)
    if control_id(inp) not in known:
        message = build_oru(superseding, references, job.study, context.settings.hl7)
        yield _keep(context, folder, ".hl7", message, Made("oru", "", control_id(inp), "", "", ""))


def _standing(inp: ResultInput, known: Mapping[str, Result]) -> list[Result]:
    """Return what need not be built again: of the same images and model, whatever notes and order say now.

    It was built after the segmentation of these; what an earlier model made stands before that.
    """
    seg = known.get(seg_uid(inp))
    if seg is None:
        return []
    again = PROFILED | DOCUMENTS | {"oru"}
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


def _keep_object(
    context: Context, folder: str, kind: str, profile: Profile, ds: Dataset, before: Predecessor | None
) -> Made:
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    superseded = before.sop_instance_uid if before is not None else ""
    made = Made(kind, form(kind, profile).key, str(ds.SOPInstanceUID), str(ds.SOPClassUID), "", "", superseded)
    return _keep(context, folder, ".dcm", buffer.getvalue(), made)


def _keep(context: Context, folder: str, suffix: str, data: bytes, made: Made) -> Made:
    """Write a file that is on the disk before the records say that it exists."""
    path = context.root / folder / f"{made.uid}{suffix}"
    durable.write(path, data)
    return replace(made, path=f"{folder}/{path.name}", sha256=hashlib.sha256(data).hexdigest())


def _finish(context: Context, job_id: str, plan: Plan, digest: str, made: list[Made]) -> bool:
    """Record objects and deliveries and end the job. False if a note or order came meanwhile: build anew."""
    with context.records.write() as session:
        job = session.get_one(Job, job_id)
        if job.state is not JobState.INFERRED:
            return True
        if gather.digest_of(job, gather.notes_of(session, job)) != digest:
            return False
        for item in made:
            results.add(session, job, _row(item), plan.receivers(item.kind, item.profile))
        job.context_digest = digest
        jobs.step(job, JobState.DONE)
        job.finished_at = now()
        jobs.settle(session, job.study_fk)
    return True


def _made(row: Result) -> Made:
    return Made(row.kind, row.profile, row.uid, row.sop_class, row.path, row.sha256, row.predecessor)


def _row(item: Made) -> Result:
    return Result(
        kind=item.kind,
        profile=item.profile,
        uid=item.uid,
        sop_class=item.sop_class,
        path=item.path,
        sha256=item.sha256,
        predecessor=item.predecessor,
    )
