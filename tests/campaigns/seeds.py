"""What the fuzzer starts from: requests of every kind that the receiver serves, in order, and with hostile contents."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from node.dicom.services import AVAILABILITY_NOTIFICATION, PROCEDURE_STEP, STORAGE_COMMITMENT, VERIFICATION
from tests.node.dicom.objects import BIG, DEFLATED, EXPLICIT, IMPLICIT, MR, PRIVATE_CLASS, encoded, image
from tests.node.dicom.scp.raw import command

JPEG = "1.2.840.10008.1.2.4.50"
CONTEXTS: Mapping[int, tuple[str, Sequence[str]]] = {
    1: (MR, [EXPLICIT]),
    3: (VERIFICATION, [IMPLICIT]),
    5: (STORAGE_COMMITMENT, [IMPLICIT]),
    7: (PROCEDURE_STEP, [EXPLICIT]),
    9: (AVAILABILITY_NOTIFICATION, [IMPLICIT]),
    11: (MR, [IMPLICIT]),
    13: (MR, [DEFLATED]),
    15: (MR, [BIG]),
    17: (PRIVATE_CLASS, [JPEG, EXPLICIT]),
}
PLACE = "1.2.826.0.1.4444444444.1000000"
"""SOP Instance UID of all seeds; the fuzzer puts one of the same length in its place."""
CHARSETS = (
    "ISO_IR 100", "ISO_IR 192", "GB18030", "ISO_IR 13", "\\ISO 2022 IR 87", "ISO 2022 IR 13\\ISO 2022 IR 159",
    "\\ISO 2022 IR 149", "ISO_IR 999", "utf_16", "utf_7",
    "raw_unicode_escape", "\\\\\\\\", "utf_8", "rot13", "base64", "idna", "undefined", "\0\xff",
    "ISO_IR 192" * 900,
)  # fmt: skip
_STORE, _ECHO, _ACTION, _CREATE, _SET, _EVENT_RSP = 0x0001, 0x0030, 0x0130, 0x0140, 0x0120, 0x8100
_NAMES = {_STORE: (0x0002, 0x1000), _ECHO: (0x0002, 0), _ACTION: (0x0003, 0x1001), _CREATE: (0x0002, 0x1000)}
_NAMES |= {_SET: (0x0003, 0x1001), _EVENT_RSP: (0x0002, 0x1000)}


@dataclass(frozen=True, slots=True)
class Message:
    """A DIMSE message: its context, command set and data set, encoded."""

    context: int
    command: bytes
    dataset: bytes | None = None


def _command(field: int, sop_class: str, *, data: bool, **more: int) -> bytes:
    class_at, instance_at = _NAMES[field]
    values: dict[int, int | str] = {class_at: sop_class, 0x0100: field, 0x0800: 1 if data else 0x0101}
    if instance_at:
        values[instance_at] = "1.2.840.10008.1.20.1.1" if sop_class == STORAGE_COMMITMENT else PLACE
    values |= {int(name[1:], 16): value for name, value in more.items()}
    values.setdefault(0x0110, 7)
    return command(values)


def _nested(depth: int) -> Dataset:
    ds = Dataset()
    ds.CodeValue = "1"
    for _ in range(depth):
        outer = Dataset()
        outer.ConceptNameCodeSequence = Items([ds])
        outer["ConceptNameCodeSequence"].is_undefined_length = depth % 2 == 0
        ds = outer
    return ds


def _reference(sop_class: str = MR) -> Dataset:
    ds = Dataset()
    ds.ReferencedSOPClassUID, ds.ReferencedSOPInstanceUID = sop_class, PLACE
    return ds


def _commitment() -> Dataset:
    ds = Dataset()
    ds.TransactionUID = PLACE
    ds.ReferencedSOPSequence = Items([_reference(), _reference(PRIVATE_CLASS)])
    return ds


def _step() -> Dataset:
    ds, scheduled, series = Dataset(), Dataset(), Dataset()
    scheduled.StudyInstanceUID, scheduled.AccessionNumber = "1.2.3", "A7"
    series.SeriesInstanceUID, series.ReferencedImageSequence = "1.2.3.1", Items([_reference()])
    ds.ScheduledStepAttributesSequence, ds.PerformedSeriesSequence = Items([scheduled]), Items([series])
    ds.PerformedProcedureStepStatus, ds.PerformedProcedureStepID = "IN PROGRESS", "S1"
    ds.PatientName, ds.PatientID, ds.Modality = "Example^Robin", "P1", "MR"
    ds.PerformedStationAETitle, ds.PerformedProcedureStepStartDate = "MR1", "20260102"
    return ds


def _availability() -> Dataset:
    ds, series, instance = Dataset(), Dataset(), _reference()
    instance.InstanceAvailability, instance.RetrieveAETitle = "ONLINE", "PACS"
    series.SeriesInstanceUID, series.ReferencedSOPSequence = "1.2.3.1", Items([instance])
    ds.StudyInstanceUID, ds.ReferencedSeriesSequence = "1.2.3", Items([series])
    ds.ReferencedPerformedProcedureStepSequence = Items([])
    return ds


def _image(syntax: str, **values: object) -> bytes:
    return encoded(image(SOPInstanceUID=PLACE, **values), syntax)


def _compressed() -> bytes:
    data = _image(EXPLICIT, SOPClassUID=PRIVATE_CLASS)
    head = data[: data.rindex(b"\xe0\x7f\x10\x00")]
    pieces = (b"", b"\xff\xd8\xff\xe0" + bytes(20), bytes(8))
    items = b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(piece)) + piece for piece in pieces)
    return head + b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + items + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def _stored(context: int, dataset: bytes, sop_class: str = MR) -> Message:
    return Message(context, _command(_STORE, sop_class, data=True, _0700=2), dataset)


def messages() -> list[Message]:
    """Return a message of every kind."""
    sequences = {"ReferencedImageSequence": Items([_reference(), _nested(5)]), "ContentSequence": Items([_nested(40)])}
    found = [_stored(1, _image(EXPLICIT)), _stored(11, _image(IMPLICIT)), _stored(15, _image(BIG))]
    found += [_stored(13, _image(DEFLATED)), _stored(17, _compressed(), PRIVATE_CLASS)]
    found += [_stored(1, _image(EXPLICIT, **sequences)), _stored(11, _image(IMPLICIT, **sequences))]
    found += [Message(3, _command(_ECHO, VERIFICATION, data=False))] * 2
    action = _command(_ACTION, STORAGE_COMMITMENT, data=True, _1008=1)
    found += [Message(5, action, encoded(_commitment(), IMPLICIT))] * 2
    found += [Message(5, _command(_EVENT_RSP, STORAGE_COMMITMENT, data=False, _0120=1, _0900=0))]
    found += [Message(7, _command(_CREATE, PROCEDURE_STEP, data=True), encoded(_step(), EXPLICIT))] * 2
    found += [Message(7, _command(_SET, PROCEDURE_STEP, data=True), encoded(_step(), EXPLICIT))]
    create = _command(_CREATE, AVAILABILITY_NOTIFICATION, data=True)
    return [*found, Message(9, create, encoded(_availability(), IMPLICIT))]


# ---------------------------------------------------------------------- hostile contents, in explicit little endian


def deep(chance: random.Random) -> bytes:
    """Return sequences in sequences, of undefined length, closed or not."""
    depth = chance.choice((10, 63, 64, 65, 300, 5000))
    opened = b"\x40\x00\x43\xa0SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    closed = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return opened * depth + closed * chance.choice((depth, depth - 1, 0))


def charset(chance: random.Random) -> bytes:
    """Return a character set and a name in whatever it is."""
    name = chance.choice(CHARSETS).encode("latin-1")
    text = chance.randbytes(chance.choice((0, 3, 40))) + chance.choice(
        (b"", b"\x1b$B", b"=\x1b(J^^", b"\\" * 300, b"^=" * 500)
    )
    return _short(0x00080005, b"CS", name) + _short(0x00100010, b"PN", text) + _short(0x00100020, b"LO", text)


def many(chance: random.Random) -> bytes:
    """Return thousands of empty elements."""
    return b"".join(_short(chance.randrange(1 << 32), b"LO", b"") for _ in range(chance.choice((1000, 8000))))


def numbers(chance: random.Random) -> bytes:
    """Return rows, columns and frames that ask for more than there is."""
    value = chance.choice((b"\xff\xff", b"\0\0", b"", b"\1"))
    return b"".join(_short(tag, b"US", value) for tag in (0x00280010, 0x00280011, 0x00280100)) + _short(
        0x00280008, b"IS", chance.choice((b"999999999999", b"-1", b"1e9", b"\xb2", b"1_0"))
    )


def bomb(chance: random.Random) -> bytes:
    """Return what inflates to a hundred times its length."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(bytes(chance.choice((10_000, 3_000_000)))) + packer.flush()


HOSTILE: Sequence[Callable[[random.Random], bytes]] = (deep, charset, charset, many, numbers, bomb)


def _short(tag: int, vr: bytes, value: bytes) -> bytes:
    value = (value + b" " * (len(value) % 2))[:0xFFFE]
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value
