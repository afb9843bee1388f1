"""What every test may use: the peers that are not Python, and the real data."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer

from node.records.engine import Records
from tests.postgresql import find_programs, serving
from tests.scheduling import Together, longest_first
from tests.stores import empty

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """Let no example fail for its time, and share the cores out: torch would take all of them in each process."""
    settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("patient")
    if processes := config.getoption("numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long."""
    items[:] = longest_first(items)


def pytest_collection_finish() -> None:
    """Leave what has been loaded by now, which stays, out of the garbage collections: they took 6 % of the time."""
    gc.collect()
    gc.freeze()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    """Keep together what shares something dear."""
    return Together(config, log)


def data_root() -> Path:
    """Return where the real data is looked for."""
    return Path(os.environ.get("OVERREAD_TEST_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Give a function from a folder's name to its path; skips, saying why, where it is missing."""

    def find(name: str) -> Path:
        path = data_root() / name
        if not path.exists():
            pytest.skip(f"real data {name!r} is not there: set OVERREAD_TEST_DATA (looked in {data_root()})")
        return path

    return find


@pytest.fixture(scope="session")
def peer() -> Callable[[str], str]:
    """Give a function from a program's name to its path; skips where it is missing, fails if peers are required."""

    def find(program: str) -> str:
        path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
        if path is None:
            reason = f"the peer program {program!r} is not installed"
            if os.environ.get("OVERREAD_REQUIRE_PEERS") == "1":
                pytest.fail(f"{reason}, and OVERREAD_REQUIRE_PEERS=1")
            pytest.skip(reason)
        return path

    return find


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Give the URL, without a database, of a PostgreSQL server that is started for the tests.

    Skips where PostgreSQL is not installed; fails if peers are required.
    """
    if (programs := find_programs()) is None:
        reason = "the peer program 'initdb' of PostgreSQL is not installed"
        if os.environ.get("OVERREAD_REQUIRE_PEERS") == "1":
            pytest.fail(f"{reason}, and OVERREAD_REQUIRE_PEERS=1")
        pytest.skip(reason)
    with serving(programs) as url:
        yield url


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    """Give an empty record store."""
    store = empty(tmp_path / "records.sqlite")
    yield store
    store.close()
