"""A seeded store and clients for the pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from node.records.engine import Records
from node.settings import NodeSection, Settings, WebSection
from node.web.app import create_app
from tests.node.web.seed import Seeded, seed
from tests.node.web.seed_record import Recorded, record

LOCAL = ("127.0.0.1", 50000)
Client = Callable[..., TestClient]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Give settings without a login, bound to loopback, with two destinations."""
    return Settings.model_validate(
        {
            "node": NodeSection(root=tmp_path),
            "destinations": [
                {"name": "pacs", "kind": "dicom", "host": "127.0.0.1", "port": 104, "ae_title": "PACS"},
                {"name": "archive", "kind": "folder", "path": str(tmp_path / "out")},
            ],
        }
    )


@pytest.fixture
def seeded(records: Records, tmp_path: Path) -> Seeded:
    """Give a seeded store."""
    return seed(records, tmp_path)


@pytest.fixture
def make_client(settings: Settings, records: Records) -> Iterator[Client]:
    """Give a function from changes of the web settings to a client."""

    def make(*, address: tuple[str, int] = LOCAL, broker_ready: Any = None, **web: Any) -> TestClient:
        changed = settings.model_copy(update={"web": WebSection(**web)}) if web else settings
        app = create_app(changed, records, broker_ready=broker_ready)
        return TestClient(app, base_url="http://127.0.0.1:8080", client=address, follow_redirects=False)

    return make  # type: ignore[return-value]


@pytest.fixture
def recorded(records: Records, seeded: Seeded, tmp_path: Path) -> Recorded:
    """Give a seeded store with what the record says beside the images."""
    return record(records, seeded, tmp_path)


@pytest.fixture
def client(make_client: Client, seeded: Seeded) -> TestClient:
    """Give a client of a seeded node without a login, on the node's own machine."""
    return make_client()
