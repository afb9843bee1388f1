from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.errors import DicomInputError
from node.storage import dataset_digest
from node.storage.seal import Sealer, is_whole, read_seal, seal_of, seal_of_file
from tests.node.storage.objects import meta

DATASET = bytes(range(256)) * 5
FILE = seal_of(DATASET).preamble() + meta()[132:] + DATASET
START = len(FILE) - len(DATASET)
SEAL = range(32)
"""Magic, length and digest. Without the magic there is no seal, and a file without one is taken at its word."""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("seal") / "x.dcm"


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.integers(8, 31), st.integers(128, 131), st.integers(START, len(FILE) - 1)), st.integers(1, 255))
@example(START, 1)
@example(len(FILE) - 1, 128)
def test_any_changed_byte_of_the_seal_and_of_the_data_set_is_found(path: Path, position: int, change: int) -> None:
    damaged = bytearray(FILE)
    damaged[position] ^= change
    path.write_bytes(damaged)
    assert not is_whole(path)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(FILE) - 1))
@example(START)
def test_any_cut_is_found(path: Path, length: int) -> None:
    path.write_bytes(FILE[:length])
    assert not is_whole(path)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(FILE) - 1), st.sampled_from([512, 4096]))
def test_sectors_and_pages_that_never_reached_the_disk_are_found(path: Path, position: int, size: int) -> None:
    first = position // size * size
    damaged = (FILE[:first] + bytes(min(size, len(FILE) - first)) + FILE[first + size :])[: len(FILE)]
    path.write_bytes(damaged)
    assert damaged == FILE or not is_whole(path)


@given(st.binary(min_size=1, max_size=50))
def test_anything_appended_is_found(path: Path, more: bytes) -> None:
    path.write_bytes(FILE + more)
    assert not is_whole(path)


def test_a_whole_file_is_whole_and_one_without_a_seal_is_taken_at_its_word(path: Path) -> None:
    path.write_bytes(FILE)
    assert is_whole(path)
    assert dataset_digest(path) == seal_of(DATASET).text
    path.write_bytes(meta() + DATASET[:100])
    assert is_whole(path)
    assert seal_of_file(path) == (None, seal_of(DATASET[:100]))


@given(st.lists(st.binary(max_size=100)))
def test_a_seal_does_not_depend_on_the_pieces(pieces: list[bytes]) -> None:
    sealer = Sealer()
    for piece in pieces:
        sealer.update(piece)
    assert sealer.seal() == seal_of(b"".join(pieces))


@given(st.binary(max_size=200))
def test_a_seal_is_read_back_from_the_preamble_and_nothing_else_is_one(data: bytes) -> None:
    seal = seal_of(data)
    assert read_seal(seal.preamble()) == seal
    assert len(seal.preamble()) == 132
    assert read_seal(data) is None or data.startswith(b"OVERREAD")


def test_what_is_no_part_10_file_is_not_whole(path: Path) -> None:
    path.write_bytes(b"not DICOM")
    assert not is_whole(path)
    with pytest.raises(DicomInputError):
        dataset_digest(path)
