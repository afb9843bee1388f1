"""The banner of alerts that nobody acknowledged, alone: every page asks for it again."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from node.web.site import TheSite

router = APIRouter()


@router.get("/alerts/part")
def banner(request: Request, site: TheSite) -> Response:
    """The banner's content; 204 if the page has this very one."""
    return site.pages.banner(request)
