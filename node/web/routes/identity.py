"""Studies whose patient is in question: both sides, and what a person decides."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import select
from sqlalchemy.exc import NoResultFound

from node.errors import StateError
from node.records import attention, identity
from node.records.schema import Study
from node.web.forms import Csrf, check_form, possible
from node.web.site import TheSite

router = APIRouter()
MISSING = "There is no such study."


@router.get("/identity")
def page(request: Request, site: TheSite) -> HTMLResponse:
    """What waits for a decision, and what was settled."""
    with site.records.read() as session:
        waiting, settled = attention.doubted(session), attention.doubted(session, settled=True)
    return site.pages.page(request, "identity.html", waiting=waiting, settled=settled, limit=attention.MAX_CONFLICTS)


@router.post("/studies/{study_id}/identity")
def decide(
    request: Request,
    site: TheSite,
    study_id: int,
    decision: Annotated[str, Form(max_length=20)] = "",
    csrf: Csrf = "",
) -> Response:
    """Take over whose a study is; its reports are looked at again."""
    check_form(request, site, csrf)
    if decision not in identity.DECISIONS:
        raise HTTPException(422, "A decision is one of: same person, other person.")
    try:
        with site.records.write() as session:
            row = session.scalars(select(Study).where(Study.id == possible(study_id, MISSING))).one()
            identity.resolve(session, row, decision)
    except NoResultFound as exc:
        raise HTTPException(404, MISSING) from exc
    except StateError as exc:
        raise HTTPException(409, "This study's images do not contradict the record any more.") from exc
    return RedirectResponse(f"/studies/{study_id}", status_code=303)
