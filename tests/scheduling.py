"""Which tests run one after the other in the same process where several processes run them (pytest-xdist)."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from xdist.scheduler import LoadFileScheduling

TOGETHER = (
    "tests/e2e/",  # whole nodes take a core each and more, and are killed at moments that matter
    "tests/models/imaging/lung/",  # a thorax that takes seconds to make
    "tests/models/labs/",  # a model that is trained for them
)
"""Folders whose files stay together, and why; of all others, each file is on its own."""


class Together(LoadFileScheduling):  # type: ignore[misc]
    """A file's tests run in one process, which builds what they share once; those of some folders do, too."""

    def _split_scope(self, nodeid: str) -> str:
        """Name what a test is to stay together with."""
        return next((folder for folder in TOGETHER if nodeid.startswith(folder)), nodeid.split("::", 1)[0])


def longest_first(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Order tests so that no process is left alone with what takes long while the others have nothing to do."""
    ranks = {name: rank for rank, name in enumerate(("e2e", "long"))}

    def rank(item: pytest.Item) -> int:
        return min((ranks[mark.name] for mark in item.iter_markers() if mark.name in ranks), default=len(ranks))

    return sorted(items, key=rank)
