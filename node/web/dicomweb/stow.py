"""The Store transaction (PS3.18 section 10.5): ``POST /dicom-web/studies`` and ``POST /dicom-web/studies/{study}``.

The body is multipart/related with one Part 10 file a part; metadata with separate bulk data is not taken. The gate has
asked for the login before anything here runs, with HTTP Basic for senders that are no browsers.
"""

from __future__ import annotations

import asyncio
import contextlib

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from starlette.requests import ClientDisconnect

from node import logs
from node.dicom.landing import Taker
from node.dicom.multipart import MultipartError, boundary_of, media_type
from node.dicom.uid import is_uid
from node.errors import InputError, OutOfResources
from node.web.dicomweb import negotiate, report
from node.web.dicomweb.upload import Busy, Inlet, Outcome, Upload
from node.web.gate import client_address
from node.web.site import TheSite

RETRY_SECONDS = 10
LINGER_BYTES = 16 << 20
LINGER_SECONDS = 2.0
"""How much of a refused body is read and dropped: senders that do not listen while they send would miss the answer."""

router = APIRouter(prefix="/dicom-web")


class Refusal(InputError):
    """A request that is answered without a look at its parts."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@router.post("/studies")
async def store(request: Request, site: TheSite) -> Response:
    """Store instances of any studies."""
    return await _answer(request, site.stow, "")


@router.post("/studies/{study}")
async def store_in_study(request: Request, site: TheSite, study: str) -> Response:
    """Store instances of one study."""
    return await _answer(request, site.stow, study)


async def _answer(request: Request, inlet: Inlet, study: str) -> Response:
    log = logs.get("web")
    try:
        media, boundary, taker = _judge(request, inlet, study)
        outcome = await _receive(request, inlet, taker, boundary, study)
    except Refusal as exc:
        log.warning("store request refused", peer=client_address(request), status=exc.status, reason=exc.text)
        if "100-continue" not in request.headers.get("expect", "").lower():
            await _linger(request)
        return PlainTextResponse(f"{exc.text}\n", exc.status, _headers(exc.status))
    except ClientDisconnect:
        log.warning("store request lost", peer=client_address(request))
        return Response(status_code=report.BAD_REQUEST)  # nobody is there to read it
    status = report.http_status(outcome.taken, outcome.fault)
    log.info(
        "store request answered", peer=client_address(request), status=status, bytes=outcome.bytes,
        count=sum(item.kept for item in outcome.taken), reason=outcome.reason,
    )  # fmt: skip
    if outcome.fault is not None:
        await _linger(request)
    content = report.encode(report.module(outcome.taken, outcome.fault), media)
    # Set by hand: Starlette would add a charset, which these media types do not have.
    return Response(content, status, {"content-type": media} | _headers(status))


def _judge(request: Request, inlet: Inlet, study: str) -> tuple[str, bytes, Taker]:
    """Return the media type of the answer, the boundary of the body, and who takes the objects."""
    if inlet.taker is None:
        raise Refusal(503, "This node takes no instances here.")
    media = negotiate.choose(",".join(request.headers.getlist("accept")))
    if media is None:
        raise Refusal(406, f"Answers are {', '.join(negotiate.OFFERS)}.")
    if study and not is_uid(study):
        raise Refusal(400, "The study in the address is not a UID.")
    boundary = _boundary(request)
    if _length(request) > inlet.settings.web.max_stow_bytes:
        raise Refusal(413, "The request is longer than web.max_stow_bytes.")
    try:
        inlet.room.require()
    except OutOfResources as exc:
        raise Refusal(503, "The node has no room (A700).") from exc
    return media, boundary, inlet.taker


def _boundary(request: Request) -> bytes:
    """Return the boundary of a multipart/related body of Part 10 files (PS3.18 section 8.6.1.2)."""
    try:
        media = media_type(request.headers.get("content-type", ""))
    except MultipartError as exc:
        raise Refusal(415, f"{str(exc).capitalize()}.") from exc
    wanted = media.parameters.get("type", "application/dicom").lower()
    if media.name != "multipart/related" or wanted != "application/dicom":
        raise Refusal(415, 'The body has to be multipart/related; type="application/dicom".')
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "The body must not have a content coding.")
    try:
        return boundary_of(media)
    except MultipartError as exc:
        raise Refusal(400, f"{str(exc).capitalize()}.") from exc


def _length(request: Request) -> int:
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else 0


async def _receive(request: Request, inlet: Inlet, taker: Taker, boundary: bytes, study: str) -> Outcome:
    try:
        with inlet.admitted() as source:
            return await Upload(inlet, taker, source, boundary, study).run(request.stream())
    except Busy as exc:
        raise Refusal(503, f"{str(exc).capitalize()}.") from exc


async def _linger(request: Request) -> None:
    """Read on for a while, so that the answer is not lost with the connection (RFC 9112 section 9.6)."""
    dropped = 0
    with contextlib.suppress(TimeoutError, ClientDisconnect, RuntimeError):
        async with asyncio.timeout(LINGER_SECONDS):
            async for chunk in request.stream():
                dropped += len(chunk)
                if dropped > LINGER_BYTES:
                    return


def _headers(status: int) -> dict[str, str]:
    return {"retry-after": str(RETRY_SECONDS)} if status == report.UNAVAILABLE else {}
