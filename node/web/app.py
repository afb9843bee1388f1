"""The web application, composed. ``node.web.server`` runs it in the gateway's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from node.dicom.landing import Taker
from node.records.engine import Records
from node.settings import Settings
from node.web.banner import Banner
from node.web.credentials import Login
from node.web.dicomweb import stow
from node.web.dicomweb.upload import Inlet
from node.web.drift import Drift
from node.web.gate import SCRIPT_PATHS, Gate
from node.web.live import LiveFeed
from node.web.pages import HERE, Pages
from node.web.routes import (
    alerts,
    api,
    events,
    health,
    identity,
    images,
    login,
    messages,
    operations,
    study,
    worklist,
)
from node.web.sessions import Sessions, load_secret
from node.web.site import Site
from node.web.slices import SliceRenderer

ROUTERS = (
    worklist.router,
    study.router,
    identity.router,
    messages.router,
    alerts.router,
    images.router,
    operations.router,
    events.router,
    api.router,
    health.router,
    login.router,
    stow.router,
)
KEY_FILE = "web.secret"


def create_app(
    settings: Settings,
    records: Records,
    *,
    broker_ready: Callable[[], bool] | None = None,
    intake: Taker | None = None,
    probes: Mapping[str, Callable[[], bool]] | None = None,
) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    broker_ready
        Says whether jobs can be queued; ``/readyz`` asks it. None leaves the broker out of the answer.
    intake
        Takes what STOW-RS brings. None: it answers 503.
    probes
        What ``/readyz`` asks besides, by name: the spool's room, the index.

    Notes
    -----
    ``app.state.stopping`` is an :class:`asyncio.Event`: set it, and every open stream ends.
    ``node.web.server.create_server`` does so by itself.
    """
    app = FastAPI(title="Overread", docs_url=None, redoc_url=None, openapi_url=None)
    sessions = Sessions(load_secret(settings.node.root / KEY_FILE), settings.web)
    checker = Login(settings.web)
    app.state.stopping = asyncio.Event()
    app.state.site = Site(
        settings=settings,
        records=records,
        pages=Pages(sessions, Banner(settings, records), login=settings.web.login),
        live=LiveFeed(records, app.state.stopping),
        slices=SliceRenderer(settings.node.root),
        sessions=sessions,
        login=checker,
        broker_ready=broker_ready,
        stow=Inlet(settings, intake),
        probes=dict(probes or {}),
        drift=Drift(),
    )
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", _LongLived(directory=HERE / "static"), name="static")
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(Gate, web=settings.web, sessions=sessions, login=checker)
    return app


class _LongLived(StaticFiles):
    """Static files; their addresses carry a digest of their content, so that they may be kept."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "public, max-age=86400"
        return response


async def _http_error(request: Request, exc: Exception) -> Response:
    """Errors as a page for people, as JSON for scripts."""
    if not isinstance(exc, HTTPException):
        raise exc
    if request.url.path.startswith(SCRIPT_PATHS) or request.headers.get("hx-request"):
        return await http_exception_handler(request, exc)
    site: Site = request.app.state.site
    return site.pages.page(request, "error.html", status=exc.status_code, code=exc.status_code, detail=exc.detail)
