"""What the routes share: one frozen object that :func:`node.web.app.create_app` puts on the application's state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from node.records.engine import Records
from node.settings import Settings
from node.web.credentials import Login
from node.web.dicomweb.upload import Inlet
from node.web.drift import Drift
from node.web.live import LiveFeed
from node.web.pages import Pages
from node.web.sessions import Sessions
from node.web.slices import SliceRenderer


@dataclass(frozen=True, slots=True)
class Site:
    """The parts of one web application."""

    settings: Settings
    records: Records
    pages: Pages
    live: LiveFeed
    slices: SliceRenderer
    sessions: Sessions
    login: Login
    broker_ready: Callable[[], bool] | None
    stow: Inlet
    probes: Mapping[str, Callable[[], bool]]
    drift: Drift

    @property
    def destinations(self) -> tuple[str, ...]:
        """Names of the configured destinations."""
        return tuple(destination.name for destination in self.settings.destinations)


def _site(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


TheSite = Annotated[Site, Depends(_site)]
"""Dependency of a route handler."""
