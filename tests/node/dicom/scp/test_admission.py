"""How many associations there may be, and why one is rejected."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from node.dicom.scp.admission import Admission
from node.settings import Peer
from tests.node.dicom.conftest import Node
from tests.node.dicom.scp import raw
from tests.node.dicom.scp.raw import connected, raw_association

Start = Callable[..., Node]
HOLDER = """
import sys, time
from pathlib import Path
from node.dicom.scp.admission import Admission
table = Admission(Path(sys.argv[1]), 5, 4)
print([table.enter(peer) for peer in sys.argv[2:]], flush=True)
time.sleep(60)
"""


def reply(node: Node, **values: object) -> tuple[int, ...]:
    with connected(node) as user:
        user.send(raw.request(**values))  # type: ignore[arg-type]
        kind, body = user.pdu()
    return (kind, *body[1:4]) if kind == raw.REJECT else (kind,)


def test_each_reason_of_a_rejection_is_given_with_its_source(start: Start) -> None:
    """PS3.8 table 9-21."""
    node = start(peers=(Peer(ae_title="MR1"),), require_called_ae_title=True, max_associations=1)
    assert reply(node, calling="MR1") == (raw.ACCEPT,)
    assert reply(node, calling="MR1", application="1.2.3") == (raw.REJECT, 1, 1, 2)
    assert reply(node, calling="MR2") == (raw.REJECT, 1, 1, 3)
    assert reply(node, calling="MR1", called="OTHER") == (raw.REJECT, 1, 1, 7)
    assert reply(node, calling="MR1", version=2) == (raw.REJECT, 1, 2, 2)
    assert reply(node, calling="MR1", version=3) == (raw.ACCEPT,)
    node.settle()
    with raw_association(node, calling="MR1"):
        assert reply(node, calling="MR1") == (raw.REJECT, 2, 3, 2)
    node.settle()
    assert reply(node, calling="MR1") == (raw.ACCEPT,)
    node.settle()
    assert len(node.lines("association.rejected")) == 5


def test_one_peer_may_not_take_all_associations(start: Start) -> None:
    node = start(max_associations=4, max_associations_per_peer=2)
    with ExitStack() as stack:
        for calling in ("MR1", "MR1", "CT1"):
            stack.enter_context(raw_association(node, calling=calling))
        assert reply(node, calling="MR1") == (raw.REJECT, 2, 3, 2)
        stack.enter_context(raw_association(node, calling="CT1"))
        assert reply(node, calling="US1") == (raw.REJECT, 2, 3, 2)
    node.settle()
    assert reply(node, calling="MR1") == (raw.ACCEPT,)


def test_two_views_of_a_table_share_its_limits(tmp_path: Path) -> None:
    first, second = (Admission(tmp_path / "folder" / "table", 3, 2) for _ in range(2))
    entry = first.enter("A")
    assert entry is not None
    assert second.enter("A") is not None
    assert first.enter("A") is None
    assert second.enter("A") is None
    assert second.enter("B") is not None
    assert first.enter("C") is None
    assert (first.count(), second.count()) == (3, 3)
    first.leave(entry)
    assert second.count() == 2
    assert second.enter("A") is not None
    second.close()
    assert first.count() == 0
    first.close()


def test_a_closed_table_takes_nobody_and_forgives_who_leaves(tmp_path: Path) -> None:
    table = Admission(tmp_path / "table", 3, 3)
    entry = table.enter("A")
    assert entry is not None
    table.close()
    table.leave(entry)
    assert table.enter("A") is None
    assert table.count() == 0


def test_processes_share_the_limits_and_a_killed_one_gives_its_entries_back(tmp_path: Path) -> None:
    path = tmp_path / "table"
    mine = Admission(path, 5, 4)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), "A", "A", "B"], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    try:
        assert holder.stdout is not None
        assert "None" not in holder.stdout.readline()
        assert mine.count() == 3
        assert [mine.enter(peer) is not None for peer in ("A", "A", "A")] == [True, True, False]
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        assert mine.count() == 2
        assert [mine.enter(peer) is not None for peer in ("A", "A", "A", "B", "B")] == [True, True, False, True, False]
    finally:
        holder.kill()
        holder.wait()
        if holder.stdout is not None:
            holder.stdout.close()
        mine.close()


@pytest.mark.parametrize("others", [("A",) * 3, ("A", "B", "C")])
def test_who_leaves_makes_room_for_one(tmp_path: Path, others: tuple[str, ...]) -> None:
    table = Admission(tmp_path / "table", 3, 3)
    entries = [table.enter(peer) for peer in others]
    assert sorted(entry for entry in entries if entry is not None) == [0, 1, 2]
    table.leave(1)
    assert (table.enter("D"), table.enter("E")) == (1, None)
    table.close()
