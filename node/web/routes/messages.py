"""HL7 messages that came in: the list, one message, its content behind a click, and taking it over again."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import select

from node.errors import StateError
from node.hl7 import ack, processing, taking
from node.records import message_views, timeline, views
from node.records.schema import Message
from node.records.states import MessageState
from node.web import inbox
from node.web.forms import LARGEST_ID, Csrf, check_form, possible
from node.web.hl7_content import NAMES_VERSION, content
from node.web.pages import Part
from node.web.site import Site, TheSite

router = APIRouter()
MISSING = "There is no such message."
State = Annotated[str, Query(max_length=20)]
Before = Annotated[int | None, Query(gt=0, lt=LARGEST_ID)]


@router.get("/messages")
def page(request: Request, site: TheSite, state: State = "", before: Before = None) -> HTMLResponse:
    """Messages, newest first. State and number are no patient data, so the address may have them."""
    wanted = _state(state)
    with site.records.read() as session:
        cursor = timeline.last_id(session)
    body = site.pages.embedded(request, _part(wanted, before), **_list(site, wanted, before))
    return site.pages.page(
        request, "messages.html", body=body, cursor=cursor, states=list(MessageState), wanted=wanted, before=before
    )


@router.get("/messages/part")
def part(request: Request, site: TheSite, state: State = "", before: Before = None) -> Response:
    """The list alone."""
    wanted = _state(state)
    return site.pages.part(request, _part(wanted, before), **_list(site, wanted, before))


@router.get("/messages/{message_id}")
def one(request: Request, site: TheSite, message_id: int) -> HTMLResponse:
    """What became of a message, without its content."""
    with site.records.read() as session:
        view = message_views.message(session, possible(message_id, MISSING))
    if view is None:
        raise HTTPException(404, MISSING)
    answer = ack.read(view.answer).code if view.answer else ""
    return site.pages.page(request, "message_in.html", view=view, row=view.row, answer=answer)


@router.get("/messages/{message_id}/content")
def shown(request: Request, site: TheSite, message_id: int) -> HTMLResponse:
    """The message itself, field by field."""
    query = select(Message.raw, Message.type).where(Message.id == possible(message_id, MISSING))
    with site.records.read() as session:
        found = session.execute(query).one_or_none()
    if found is None:
        raise HTTPException(404, MISSING)
    read = content(found.raw, site.settings.hl7)
    return site.pages.page(
        request, "message_content.html", id=message_id, type=found.type, content=read, names=NAMES_VERSION
    )


@router.post("/messages/{message_id}/replay")
def replay(request: Request, site: TheSite, message_id: int, csrf: Csrf = "") -> Response:
    """Take a message over again; what was stated later stays as it is."""
    check_form(request, site, csrf)
    with site.records.read() as session:
        if message_views.message(session, possible(message_id, MISSING)) is None:
            raise HTTPException(404, MISSING)
    try:
        processing.replay(site.records, site.settings, message_id)
    except StateError as exc:
        raise HTTPException(409, "This message was processed already.") from exc
    except Exception as exc:
        if not taking.transient(exc):
            raise
        raise HTTPException(503, "The records are busy: try again in a moment.") from exc
    return RedirectResponse(f"/messages/{message_id}", status_code=303)


def _state(text: str) -> MessageState | None:
    return MessageState(text) if text in set(MessageState) else None


def _part(state: MessageState | None, before: int | None) -> Part:
    parts = [f"state={state.value}" if state else "", f"before={before}" if before else ""]
    query = "&".join(part for part in parts if part)
    return Part("messages", "_messages.html", f"/messages/part?{query}" if query else "/messages/part")


def _list(site: Site, state: MessageState | None, before: int | None) -> dict[str, Any]:
    with site.records.read() as session:
        found = message_views.listed(session, state, before)
        counts = views.count_by(session, Message.state)
        delays = message_views.delays(session)
    return {
        "found": found,
        "counts": {one: counts.get(one, 0) for one in MessageState},
        "delays": delays,
        "waiting": inbox.waiting(site.settings.node.root),
        "state": state,
    }
