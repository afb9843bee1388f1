"""The decoders of what peers and dead processes leave, under hypothesis: each gives a sound result or says no."""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import xxhash
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from node.dicom import ledger, structure
from node.dicom.headers import BIG_ENDIAN, IMPLICIT, check, read, read_excerpt
from node.dicom.part10 import Command
from node.dicom.scp import negotiation
from node.dicom.scp.dimse import CommandSet, store_answer
from node.errors import OverreadError
from node.storage import journal
from tests.campaigns.seeds import CONTEXTS, PLACE, messages
from tests.node.dicom.objects import BIG, DEFLATED, EXPLICIT, MR
from tests.node.dicom.objects import IMPLICIT as IMPLICIT_SYNTAX
from tests.node.dicom.scp.raw import item, pdu, request

Bytes = st.SearchStrategy[bytes]
SYNTAXES = (EXPLICIT, IMPLICIT_SYNTAX, BIG, DEFLATED)


@dataclass(frozen=True, slots=True)
class Codec:
    """A decoder: where its inputs come from, and what is required of it."""

    inputs: Bytes
    check: Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Failure:
    """The smallest input that was found to break a requirement, and how."""

    data: bytes
    text: str


def run(codec: Codec, count: int, number: int) -> tuple[int, Failure | None]:
    """Run ``count`` cases; returns how many there were, and the failure if there was one."""
    ran, last = 0, b""

    @seed(number)
    @settings(
        max_examples=count, database=None, deadline=None, phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(codec.inputs)
    def cases(data: bytes) -> None:
        nonlocal ran, last
        ran, last = ran + 1, data
        codec.check(data)

    try:
        cases()
    except Exception as exc:
        return ran, Failure(last, f"{type(exc).__name__}: {str(exc)[:200]}")
    return ran, None


# ---------------------------------------------------------------------- inputs


def _damaged(seeds: list[bytes]) -> Bytes:
    """Return seeds of which some places were overwritten, cut out or filled with something else."""
    edit = st.tuples(st.integers(0, 1 << 16), st.integers(0, 12), st.binary(max_size=12))

    def apply(pair: tuple[bytes, list[tuple[int, int, bytes]]]) -> bytes:
        data = pair[0]
        for place, length, new in pair[1]:
            at = place % (len(data) + 1)
            data = data[:at] + new + data[at + length :]
        return data

    return st.tuples(st.sampled_from(seeds), st.lists(edit, max_size=5)).map(apply)


_tags = st.sampled_from(
    (0x00080005, 0x00080016, 0x00080018, 0x00100010, 0x0020000D, 0x00280008, 0x7FE00010, 0xFFFEE000)
)
_tags |= st.integers(0, (1 << 32) - 1)
_vrs = st.sampled_from((b"UI", b"CS", b"PN", b"US", b"SQ", b"UN", b"OB", b"OW", b"IS", b"ZZ", b"\0\0"))
_lengths = st.one_of(st.none(), st.sampled_from((0, 0xFFFFFFFF, 0xFFFF, 1 << 31)))


def _element(tag: int, vr: bytes, value: bytes, length: int | None) -> bytes:
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    said = len(value) if length is None else length
    if vr in (b"SQ", b"UN", b"OB", b"OW"):
        return head + struct.pack("<HL", 0, said) + value
    return head + struct.pack("<H", said & 0xFFFF) + value


_elements = st.lists(st.builds(_element, _tags, _vrs, st.binary(max_size=40), _lengths), max_size=12).map(b"".join)
_datasets = [m.dataset for m in messages() if m.dataset is not None]
_commands = [m.command for m in messages()]
_items = st.recursive(
    st.binary(max_size=30),
    lambda inner: st.builds(item, st.integers(0, 255), inner) | st.lists(inner, max_size=4).map(b"".join),
)
_requests = [request(CONTEXTS), request({1: CONTEXTS[1]}), pdu(1, request()[6:74])]


def _selected(data: Bytes) -> Bytes:
    """Put a byte before the input that chooses the transfer syntax."""
    return st.tuples(st.integers(0, len(SYNTAXES) - 1), data).map(lambda pair: bytes((pair[0],)) + pair[1])


# ---------------------------------------------------------------------- requirements


def _scan(data: bytes) -> None:
    syntax, body = SYNTAXES[data[0]], memoryview(data)[1:]
    options = {"implicit": syntax in IMPLICIT, "little": syntax not in BIG_ENDIAN}
    try:
        found = structure.scan(body, **options)
    except structure.Truncated:
        structure.peek(body, 0x00287FFF, **options)
        return
    for element in found.values():
        assert 0 <= element.at < element.start <= element.end <= len(body)


def _headers(data: bytes) -> None:
    syntax, body = SYNTAXES[data[0]], data[1:]
    if syntax == DEFLATED and len(body) % 2:
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = packer.compress(body) + packer.flush()
    command = Command(MR, PLACE, syntax, "RAW", "OVERREAD")
    try:
        checked = check(command, memoryview(body))
        study, excerpt = checked.study_uid, checked.excerpt()
    except OverreadError:
        study, excerpt = "", b""
    try:
        header = read(command, memoryview(body))
    except OverreadError:
        assert not study, "an object was taken and cannot be indexed"
        return
    assert not study or header.study_uid == study, "the index knows another study than the one that was answered for"
    assert not excerpt or read_excerpt(command, excerpt).study_uid == study, "the ledger tells of another study"
    for text in (header.patient_name, header.patient_id, header.study_description, *header.tags.values()):
        assert text.isprintable(), "a control character comes through"
        text.encode("utf-8")


def _command(data: bytes) -> None:
    try:
        found = CommandSet(data)
    except OverreadError:
        return
    answer = store_answer(1, found, 0xC000, "a comment")
    assert len(answer) == 6 + int.from_bytes(answer[2:6], "big")
    CommandSet(answer[12:])


def _associate(data: bytes) -> None:
    try:
        proposal = negotiation.parse(data)
        answer, contexts = negotiation.accept(proposal, 131072)
    except OverreadError:
        return
    assert answer[0] == 2
    assert len(answer) == 6 + int.from_bytes(answer[2:6], "big")
    assert all(1 <= number <= 255 for number in contexts)
    assert proposal.calling_ae_title.isprintable()


def _line(data: bytes) -> None:
    try:
        entry = ledger.decode(data)
    except ValueError:
        return
    assert ledger.decode(ledger.encode(entry)) == entry


def _journal(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        for record in journal.records(Path(file.name)):
            assert record.data == _PAYLOAD, "a damaged record was believed"


_PAYLOAD = bytes(range(256)) * 20


def _record(key: bytes, name: str) -> bytes:
    head = struct.pack("<16sQLQ96s", key, len(_PAYLOAD), 300, xxhash.xxh3_64_intdigest(_PAYLOAD), name.encode())
    block = (head + struct.pack("<L", zlib.crc32(head))).ljust(300, b"\0") + _PAYLOAD
    return block.ljust(2 * journal.BLOCK, b"\0")


def _half(key: bytes) -> bytes:
    head = struct.pack("<8sQ16s", b"OVRJRNL1", 1, key)
    first = (head + struct.pack("<L", zlib.crc32(head))).ljust(journal.BLOCK, b"\0")
    return first + _record(key, "1.2.3") + _record(bytes(16), "1.2.4") + _record(key, "1.2.5")


_LINES = [
    ledger.encode(ledger.Stored("a", Command(MR, PLACE, EXPLICIT, "A", "B"), "instances/00/1.dcm", 9, "xxh128:00")),
    ledger.encode(ledger.Ended("a")),
    ledger.encode(ledger.Noted("kind", "text")),
]

CODECS: Mapping[str, Codec] = {
    "scan": Codec(_selected(_damaged(_datasets) | _elements | st.binary(max_size=200)), _scan),
    "headers": Codec(_selected(_damaged(_datasets) | _elements), _headers),
    "command": Codec(_damaged(_commands) | st.binary(max_size=120), _command),
    "associate": Codec(
        _damaged(_requests) | _items.map(lambda items: pdu(1, request()[6:74] + items)) | st.binary(max_size=200),
        _associate,
    ),
    "ledger": Codec(_damaged(_LINES) | st.binary(max_size=120), _line),
    "journal": Codec(_damaged([_half(b"k" * 16) + _half(b"l" * 16), _half(b"k" * 16)]), _journal),
}
