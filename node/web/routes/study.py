"""The study page, its parts, and what can be done on it: sending a given-up result again, waiting no longer."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import select
from sqlalchemy.exc import NoResultFound

from node.errors import StateError
from node.records import evidence, results, timeline, views
from node.records.schema import Delivery, Job, Result, Study
from node.settings import MESSAGES
from node.web.explained import Explained, explained
from node.web.forms import Csrf, check_form, possible
from node.web.judged import judged
from node.web.pages import Part
from node.web.site import Site, TheSite
from node.web.slices import KeySlices
from node.web.source import SliceUnavailable, inside
from node.web.text import hl7_segments

router = APIRouter()
PARTS = ("status", "doubt", "assessment", "findings", "notes", "labs", "results", "timeline")
JUDGED = ("doubt", "assessment", "labs")
"""Parts that need what is known beyond the images."""
MAX_MESSAGE_BYTES = 1 << 20
MISSING = "There is no such study."


@router.get("/studies/{study_id}")
def page(request: Request, site: TheSite, study_id: int) -> HTMLResponse:
    """One study."""
    with site.records.read() as session:
        cursor = timeline.last_id(session)
        view = _view(session, study_id)
        keys = _key_slices(session, site, view)
        known = judged(session, view)
    context = {"view": view, "study": view.study, "keys": keys, "judged": known, "explained": _explained(site, view)}
    parts = {name: site.pages.embedded(request, _part(name, study_id), **context) for name in PARTS}
    return site.pages.page(request, "study.html", view=view, study=view.study, parts=parts, cursor=cursor)


@router.get("/studies/{study_id}/parts/{name}")
def part(request: Request, site: TheSite, study_id: int, name: str) -> Response:
    """One part of the page alone."""
    if name not in PARTS:
        raise HTTPException(404, "There is no such part.")
    with site.records.read() as session:
        view = _view(session, study_id)
        keys = _key_slices(session, site, view) if name == "findings" else {}
        known = judged(session, view) if name in JUDGED else None
    why = _explained(site, view) if name == "findings" else {}
    context = {"view": view, "study": view.study, "keys": keys, "judged": known, "explained": why}
    return site.pages.part(request, _part(name, study_id), **context)


@router.get("/studies/{study_id}/results/{result_id}/message")
def message(request: Request, site: TheSite, study_id: int, result_id: int) -> HTMLResponse:
    """An HL7 message that was built, one segment a line."""
    with site.records.read() as session:
        result = views.result_of(session, study_id, result_id)
    if result is None or result.kind not in MESSAGES:
        raise HTTPException(404, "There is no such message.")
    try:
        with inside(site.settings.node.root, result.path).open("rb") as file:
            segments = hl7_segments(file.read(MAX_MESSAGE_BYTES))
    except (SliceUnavailable, OSError) as exc:
        raise HTTPException(404, "The file of this message is not where the records say.") from exc
    return site.pages.page(request, "message.html", study_id=study_id, result=result, segments=segments)


@router.post("/studies/{study_id}/process")
def process(request: Request, site: TheSite, study_id: int, csrf: Csrf = "") -> Response:
    """Take what is here of a study that waits for more instances."""
    check_form(request, site, csrf)
    try:
        with site.records.write() as session:
            evidence.release(
                session, session.scalars(select(Study).where(Study.id == possible(study_id, MISSING))).one()
            )
    except NoResultFound as exc:
        raise HTTPException(404, MISSING) from exc
    except StateError as exc:
        raise HTTPException(409, "This study does not wait for instances any more.") from exc
    if request.headers.get("hx-request"):
        return part(request, site, study_id, "status")
    return RedirectResponse(f"/studies/{study_id}", status_code=303)


@router.post("/studies/{study_id}/deliveries/{delivery_id}/again")
def send_again(request: Request, site: TheSite, study_id: int, delivery_id: int, csrf: Csrf = "") -> Response:
    """Send again, and now, what waits for another try or was given up."""
    check_form(request, site, csrf)
    try:
        with site.records.write() as session:
            owned = (
                select(Delivery.id).join(Result).join(Job).where(Delivery.id == delivery_id, Job.study_fk == study_id)
            )
            results.again(session, session.scalars(owned).one())
    except NoResultFound as exc:
        raise HTTPException(404, "There is no such delivery.") from exc
    except StateError as exc:
        said = "Only a delivery that waits for another try or was given up can be sent again."
        raise HTTPException(409, said) from exc
    if request.headers.get("hx-request"):
        return part(request, site, study_id, "results")
    return RedirectResponse(f"/studies/{study_id}#results", status_code=303)


def _view(session: Any, study_id: int) -> views.StudyView:
    view = views.study(session, possible(study_id, MISSING))
    if view is None:
        raise HTTPException(404, MISSING)
    return view


def _part(name: str, study_id: int) -> Part:
    return Part(name, f"_study_{name}.html", f"/studies/{study_id}/parts/{name}")


def _key_slices(session: Any, site: Site, view: views.StudyView) -> dict[str, KeySlices | str]:
    """Each job's key slices, or the reason why they cannot be shown."""
    keys: dict[str, KeySlices | str] = {}
    for job in view.jobs:
        segmented = views.segmented(session, view.study.id, job.id)
        if segmented is None:
            continue
        try:
            keys[job.id] = site.slices.key_slices(segmented)
        except SliceUnavailable as exc:
            keys[job.id] = str(exc)
    return keys


def _explained(site: Site, view: views.StudyView) -> dict[str, Explained]:
    """What explains each job's answer, by job."""
    root = site.settings.node.root
    found = {job.id: explained(root, job.prediction or "", job.findings or ()) for job in view.jobs}
    return {job: item for job, item in found.items() if item is not None}
