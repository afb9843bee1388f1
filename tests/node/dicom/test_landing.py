"""Handing over what came by another door: any bytes are taken or refused, and never raise."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.dicom.landing import Landing, Source, TooLarge
from node.dicom.part10 import PREAMBLE
from node.errors import OutOfResources
from tests.node.dicom.objects import DEFLATED, EXPLICIT
from tests.node.dicom.takers import MemoryTaker, part10, real_intake

SOURCE = Source("test-1", "TEST", "OVERREAD")
UID, FILE = part10(SOPInstanceUID="1.2.3.4")
DEFLATED_FILE = part10(DEFLATED, SOPInstanceUID="1.2.3.4")[1]


def landed(root: Path, data: bytes, limit: int = 1 << 30) -> Landing:
    landing = Landing(root, limit, lambda: None)
    landing.write(data)
    return landing


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Draw bytes, or a file with some of them changed, cut or repeated."""
    if draw(st.booleans()):
        return draw(st.sampled_from([b"", PREAMBLE, FILE[132:200]])) + draw(st.binary(max_size=400))
    data = bytearray(draw(st.sampled_from([FILE, FILE[132:], DEFLATED_FILE])))
    for position in draw(st.lists(st.integers(0, len(data) - 1), max_size=8)):
        data[position] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))]) + draw(st.binary(max_size=20))


@settings(deadline=None, max_examples=300)
@given(files(), st.booleans(), st.sampled_from(["", "1.2.3", "1.2.4"]))
def test_any_bytes_are_taken_or_refused_and_nothing_is_raised(data: bytes, bare: bool, study: str) -> None:
    with TemporaryDirectory() as folder:
        intake, sink = real_intake(Path(folder))
        landing = landed(Path(folder) / "spool", data)
        landing.is_directory()
        taken = landing.hand(intake, SOURCE, bare=bare, study=study)
        landing.close()
        intake.spool.close()
    assert taken.kept == (len(sink.stored) == 1)
    assert taken.kept or taken.status >> 12 in (0xA, 0xC)
    assert taken.status != 0xC0FF, "the node itself failed"
    assert bool(taken.comment) != taken.kept


def test_what_changes_behind_the_copy_changes_nothing(tmp_path: Path) -> None:
    taker = MemoryTaker()
    landing = landed(tmp_path, FILE)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []  # it has no name that anybody could open
    assert landing.hand(taker, SOURCE).status == 0
    landing.close()
    assert taker.taken[0][1].transfer_syntax == EXPLICIT


def test_an_object_over_the_limit_keeps_enough_to_be_named(tmp_path: Path) -> None:
    taker = MemoryTaker()
    landing = Landing(tmp_path, len(FILE) - 10, lambda: None)
    with pytest.raises(TooLarge) as caught:
        landing.write(FILE)
    taken = landing.refused(taker, SOURCE, caught.value)
    assert (taken.status, taken.sop_instance, taken.again, taken.kept) == (0xA701, UID, False, False)
    landing.close()


def test_a_disk_that_is_full_is_out_of_resources(tmp_path: Path) -> None:
    def full() -> None:
        raise OutOfResources("the spool is below its free space watermark")

    with pytest.raises(OutOfResources):
        Landing(tmp_path, 1 << 30, full)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutOfResources):
        Landing(tmp_path / "file", 1 << 30, lambda: None)
