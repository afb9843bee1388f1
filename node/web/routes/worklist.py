"""The worklist. Filters travel in the body of a POST, never in the address, which browsers and proxies keep."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from node.records import timeline, views
from node.records.states import StudyState
from node.web.pages import digest_of
from node.web.site import Site, TheSite

router = APIRouter()
PERIODS = {1: "last 24 hours", 3: "last 3 days", 7: "last 7 days", 30: "last 30 days", 0: "all"}
DEFAULT_DAYS = 7
TextField = Annotated[str, Form(max_length=200)]
NumberField = Annotated[int, Form(ge=0, le=36500)]


@router.get("/")
def worklist(request: Request, site: TheSite) -> HTMLResponse:
    """The worklist page."""
    return _page(request, site, views.WorklistQuery(days=DEFAULT_DAYS))


@router.post("/")
def filtered(
    request: Request, site: TheSite, text: TextField = "", state: TextField = "", days: NumberField = DEFAULT_DAYS
) -> HTMLResponse:
    """The worklist page with a filter, for browsers without scripts."""
    return _page(request, site, views.WorklistQuery(text, state, days))


@router.post("/worklist/rows")
def rows(
    request: Request,
    site: TheSite,
    text: TextField = "",
    state: TextField = "",
    days: NumberField = DEFAULT_DAYS,
    have: TextField = "",
) -> Response:
    """The table alone; 204 if the page has this very table."""
    with site.records.read() as session:
        found = views.worklist(session, views.WorklistQuery(text, state, days))
    body, digest = _table(request, site, found)
    if digest == have:
        return Response(status_code=204)
    return HTMLResponse(site.pages.fragment(request, "_worklist.html", table=body, digest=digest))


def _table(request: Request, site: Site, found: list[views.WorklistRow]) -> tuple[Any, str]:
    body = site.pages.fragment(request, "_worklist_table.html", rows=found, limit=views.MAX_ROWS)
    return body, digest_of(body)


def _page(request: Request, site: Site, query: views.WorklistQuery) -> HTMLResponse:
    with site.records.read() as session:
        cursor = timeline.last_id(session)
        found = views.worklist(session, query)
    body, digest = _table(request, site, found)
    return site.pages.page(
        request,
        "worklist.html",
        table=body,
        digest=digest,
        query=query,
        states=list(StudyState),
        periods=PERIODS,
        cursor=cursor,
    )
