"""How the node is doing."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from node.records import timeline, views
from node.web.pages import Part
from node.web.site import TheSite

router = APIRouter()
PART = Part("operations", "_operations.html", "/operations/part")


@router.get("/operations")
def page(request: Request, site: TheSite) -> HTMLResponse:
    """Counts, destinations, models, what happened to the node itself."""
    with site.records.read() as session:
        cursor = timeline.last_id(session)
        view = views.operations(session, site.destinations)
    body = site.pages.embedded(request, PART, view=view)
    return site.pages.page(request, "operations.html", body=body, cursor=cursor)


@router.get("/operations/part")
def part(request: Request, site: TheSite) -> Response:
    """The page's content alone."""
    with site.records.read() as session:
        view = views.operations(session, site.destinations)
    return site.pages.part(request, PART, view=view)
