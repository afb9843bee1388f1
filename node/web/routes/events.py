"""Streams of server-sent events for live pages."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from node.web.site import Site, TheSite

router = APIRouter()
Cursor = Annotated[int, Query(ge=0, lt=1 << 53)]
LastEventId = Annotated[str, Header(max_length=20)]


@router.get("/events")
async def all_events(site: TheSite, cursor: Cursor = 0, last_event_id: LastEventId = "") -> StreamingResponse:
    """Something changed anywhere."""
    return _stream(site, cursor, last_event_id, None)


@router.get("/studies/{study_id}/events")
async def study_events(
    site: TheSite, study_id: int, cursor: Cursor = 0, last_event_id: LastEventId = ""
) -> StreamingResponse:
    """Something changed in one study."""
    return _stream(site, cursor, last_event_id, study_id)


def _stream(site: Site, cursor: int, last_event_id: str, study: int | None) -> StreamingResponse:
    """A browser that connects again says with Last-Event-ID what it has seen."""
    if last_event_id.isascii() and last_event_id.isdigit():
        cursor = max(cursor, int(last_event_id))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(site.live.stream(cursor, study), media_type="text/event-stream", headers=headers)
