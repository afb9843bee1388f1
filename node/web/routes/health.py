"""For the machines that watch the node. From the node's own machine these need no login; they hold no patient data."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text

from node import logs
from node.hl7.inbox import FILE as INBOX
from node.web.metrics import registry
from node.web.site import Site, TheSite

router = APIRouter()


@router.get("/healthz")
async def healthz() -> PlainTextResponse:
    """The process is alive and its event loop turns."""
    return PlainTextResponse("ok\n")


@router.get("/readyz")
def readyz(site: TheSite) -> JSONResponse:
    """The node can do its work: 200, or 503 that names what fails."""
    checks = {"database": _database(site)}
    if site.broker_ready is not None:
        checks["broker"] = _broker(site)
    checks |= {name: probe() for name, probe in site.probes.items()}
    ready = all(checks.values())
    answer = {"ready": ready, "checks": {name: "ok" if fine else "failed" for name, fine in checks.items()}}
    return JSONResponse(answer, status_code=200 if ready else 503)


def _database(site: Site) -> bool:
    try:
        with site.records.read() as session:
            session.execute(text("SELECT 1 FROM studies LIMIT 1"))
    except Exception as exc:  # whatever the driver raises, the answer is "not ready"
        logs.get("web").warning("web.not_ready", kind="database", error=exc)
        return False
    return True


def _broker(site: Site) -> bool:
    try:
        return site.broker_ready is not None and site.broker_ready()
    except Exception as exc:
        logs.get("web").warning("web.not_ready", kind="broker", error=exc)
        return False


@router.get("/metrics")
def metrics(site: TheSite) -> Response:
    """Prometheus text format."""
    found = registry(site.records, site.destinations, site.settings.node.root / INBOX, site.drift)
    return Response(generate_latest(found), media_type=CONTENT_TYPE_LATEST)
