"""No test of the spool waits for the disk, nor makes 256 folders: what is said to it is looked at, cuts are played."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from node.storage import layout, system


@pytest.fixture(scope="package", autouse=True)
def _fast_disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(system, "_syncfs", lambda _: 0)
        patch.setattr(layout, "FAN_OUT", 1)
        patch.setattr(os, "O_DSYNC", 0)
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(os, "fdatasync", lambda _: None)
        yield
