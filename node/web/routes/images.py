"""Pictures of key slices, and of what models saw."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from fastapi.responses import Response

from node.records import assessed, views
from node.web import explained
from node.web.site import TheSite
from node.web.source import SliceUnavailable

router = APIRouter()
JobId = Annotated[str, Path(pattern=r"^[0-9A-Za-z-]{1,36}$")]
ViewName = Annotated[str, Path(pattern=r"^(image|over-[0-9])$")]
CACHE_SECONDS = 600
"""A browser may keep a picture for itself for this long; the address carries the segmentation's digest."""


@router.get("/studies/{study_id}/jobs/{job_id}/slices/{index}.png")
def key_slice(site: TheSite, study_id: int, job_id: JobId, index: int) -> Response:
    """Key slice ``index`` (from 0) of a job, with the segmentation drawn on it."""
    with site.records.read() as session:
        segmented = views.segmented(session, study_id, job_id)
    if segmented is None:
        raise HTTPException(404, "There is no such segmentation.")
    try:
        png = site.slices.picture(segmented, index)
    except SliceUnavailable as exc:
        raise HTTPException(404, f"This slice cannot be shown: {exc}.") from exc
    return Response(png, media_type="image/png", headers={"Cache-Control": f"private, max-age={CACHE_SECONDS}"})


@router.get("/studies/{study_id}/jobs/{job_id}/view/{name}.png")
def seen(site: TheSite, study_id: int, job_id: JobId, name: ViewName) -> Response:
    """What a job's model saw, or a layer over it."""
    with site.records.read() as session:
        prediction = assessed.prediction_of(session, study_id, job_id)
    try:
        png = explained.picture(site.settings.node.root, prediction, name)
    except SliceUnavailable as exc:
        raise HTTPException(404, f"This picture cannot be shown: {exc}.") from exc
    return Response(png, media_type="image/png", headers={"Cache-Control": f"private, max-age={CACHE_SECONDS}"})
