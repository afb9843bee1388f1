"""How the node is doing."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from sqlalchemy.orm import Session

from node.records import attention, message_views, shadow, timeline, views
from node.web import inbox
from node.web.pages import Part
from node.web.site import Site, TheSite

router = APIRouter()
PART = Part("operations", "_operations.html", "/operations/part")


@router.get("/operations")
def page(request: Request, site: TheSite) -> HTMLResponse:
    """Counts, destinations, models, what happened to the node itself."""
    with site.records.read() as session:
        cursor = timeline.last_id(session)
        context = _context(session, site)
    body = site.pages.embedded(request, PART, **context)
    return site.pages.page(request, "operations.html", body=body, cursor=cursor)


@router.get("/operations/part")
def part(request: Request, site: TheSite) -> Response:
    """The page's content alone."""
    with site.records.read() as session:
        context = _context(session, site)
    return site.pages.part(request, PART, **context)


def _context(session: Session, site: Site) -> dict[str, Any]:
    return {
        "view": views.operations(session, site.destinations),
        "doubts": attention.open_doubts(session),
        "delays": message_views.delays(session),
        "waiting": inbox.waiting(site.settings.node.root),
        "shadows": shadow.summary(session),
    }
