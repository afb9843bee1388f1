"""What real messages leave in the records, against a second reader; and in other line ends, delimiters and sets."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from node.errors import Hl7InputError
from node.hl7 import inbound
from node.hl7.message import peek
from node.records.engine import Records
from node.records.schema import Note, Observation, Order, Patient, Visit
from node.records.states import NoteState
from tests.node.hl7 import second_reader
from tests.node.hl7.landing import RECEIVED, landed, rows_of
from tests.node.hl7.second_reader import Part
from tests.node.hl7.test_real_messages import REFUSED
from tests.stores import empty

pytestmark = pytest.mark.data

SEX = {"M": "M", "F": "F", "O": "O", "A": "O", "N": "O"}
PRIORITY = {"S": "STAT", "A": "ASAP"}
TEXT = ("TX", "FT", "ST")
NO_ORDER = ("ODS", "RQD", "RXO")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Records]:
    """Give a record store that no message changes."""
    records = empty(tmp_path_factory.mktemp("fields") / "records.sqlite")
    yield records
    records.close()


@pytest.fixture(scope="module")
def texts(real_data: Callable[[str], Path]) -> dict[str, str]:
    """Give the messages of supported types by file name, with CR for line ends."""
    found = {}
    for path in sorted((real_data("hl7-fhir-converter") / "Hl7v2").glob("*.hl7")):
        raw = path.read_bytes()
        if peek(raw).type in inbound.HANDLERS:
            found[path.name] = raw.decode("utf-8-sig").replace("\r\n", "\r").replace("\n", "\r")
    assert len(found) > 30
    return found


def test_the_fields_of_every_supported_message_are_in_the_records(store: Records, texts: dict[str, str]) -> None:
    seen: dict[str, int] = {"orders": 0, "values": 0, "texts": 0, "visits": 0, "merged": 0}
    for name, text in texts.items():
        if name in REFUSED:
            continue
        with landed(store, [text.encode()]) as session:
            _check(session, name, second_reader.read(text), seen)
    assert seen == {"orders": 2, "values": 19, "texts": 2, "visits": 10, "merged": 3}


def _check(session: Session, name: str, parts: list[Part], seen: dict[str, int]) -> None:
    head, kind = parts[0], parts[0].get(9)
    for pid in (part for part in parts if part.name == "PID"):
        _check_patient(session, name, pid)
    if kind == "ORM":
        seen["orders"] += _check_orders(session, parts)
    elif kind == "ORU":
        seen["values"] += _check_values(session, parts, head.get(7))
    elif kind == "MDM":
        seen["texts"] += _check_document(session, parts)
    elif kind == "ADT":
        seen["visits"] += _check_visit(session, parts, head.get(9, 2))
        seen["merged"] += _check_merges(session, parts)


def _identity(segment: Part, field: int) -> tuple[str, str]:
    """Return the identifier that counts: a medical record number, else one without a type, else the first."""
    numbers = range(segment.repetitions(field))
    ranked = sorted(
        numbers, key=lambda n: {"MR": 0, "PI": 0, "": 1, "PT": 2}.get(segment.get(field, 5, repetition=n), 3)
    )
    for n in ranked:
        if identifier := segment.get(field, 1, repetition=n):
            return identifier, segment.get(field, 4, 1, n) or segment.get(field, 4, 2, n)
    raise AssertionError("no identifier")


def _check_patient(session: Session, file: str, pid: Part) -> None:
    identifier, authority = _identity(pid, 3)
    row = session.scalars(select(Patient).filter_by(patient_id=identifier, issuer=authority)).one()
    said = [pid.get(5, n) for n in (1, 2, 3)]
    assert [*row.name.split("=")[0].split("^"), "", ""][:3] == said, file
    assert row.birth_date == pid.get(7)[:8]
    assert row.sex == SEX.get(pid.get(8), "")


def _entity(segment: Part | None, field: int) -> str:
    if segment is None:
        return ""
    space = segment.get(field, 2) or segment.get(field, 3)
    return f"{segment.get(field)}^{space}" if segment.get(field) and space else segment.get(field)


def _check_orders(session: Session, parts: list[Part]) -> int:
    found = []
    for part in parts:
        if part.name == "ORC":
            found.append({"ORC": part})
        elif found:
            found[-1].setdefault(part.name, part)
    expected = [group for group in found if not any(name in group for name in NO_ORDER)]
    for group in expected:
        orc, obr, tq1 = group["ORC"], group["OBR"], group.get("TQ1")
        placer, filler = (_entity(obr, n) or _entity(orc, n) for n in (2, 3))
        row = session.scalars(select(Order).filter_by(placer_number=placer, filler_number=filler)).one()
        assert (row.procedure_code, row.procedure_text, row.procedure_scheme) == tuple(obr.get(4, n) for n in (1, 2, 3))
        said = [tq1.get(9) if tq1 else "", obr.get(27, 6), orc.get(7, 6), obr.get(5)]
        assert row.priority == PRIORITY.get(next(filter(None, said), ""), "ROUTINE")
        assert row.reason == (obr.get(31, 2) or obr.get(31) or obr.get(13))
        assert row.status == orc.get(1)
        assert row.accession_number == (obr.get(18) or filler.partition("^")[0])
        assert row.context["ORC"].get("12", "").rstrip("^") == orc.whole(12)
        assert row.context["OBR"].get("16", "").rstrip("^") == obr.whole(16)
    assert len(session.scalars(select(Order)).all()) == len(expected)
    return len(expected)


def _when(text: str, sent: str) -> dt.datetime | None:
    """Read a time that may lack its offset, which is then that of MSH-7."""
    if not text:
        return None
    digits, sign, offset = text.partition("+") if "+" in text else text.partition("-")
    if not sign:
        _, sign, offset = sent.partition("+") if "+" in sent else sent.partition("-")
    return _parsed(digits, sign + offset)


def _parsed(digits: str, offset: str) -> dt.datetime:
    form = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}[len(digits)]
    return dt.datetime.strptime(digits + (offset or "+0000"), form + "%z")


def _check_values(session: Session, parts: list[Part], sent: str) -> int:
    obr, count = parts[0], 0
    for part in parts:
        if part.name == "OBR":
            obr = part
        elif part.name == "OBX" and part.whole(5) and part.get(2) in ("NM", "SN"):
            count += 1
            _check_value(session, obr, part, sent)
    assert len(session.scalars(select(Observation)).all()) == count
    return count


def _check_value(session: Session, obr: Part, obx: Part, sent: str) -> None:
    row = session.scalars(select(Observation).filter_by(code=obx.get(3), filler_number=_entity(obr, 3))).one()
    value = "".join(obx.get(5, n) for n in (1, 2, 3, 4)) if obx.get(2) == "SN" else obx.whole(5)
    assert (row.name, row.scheme, row.value) == (obx.get(3, 2), obx.get(3, 3), value)
    assert row.number == float(value)
    assert (row.unit, row.reference_range) == (obx.get(6), obx.whole(7))
    assert (row.flag, row.status) == (obx.get(8), obx.get(11))
    assert row.observed_at == (_when(obx.get(14), sent) or _when(obr.get(7), sent))


def _check_document(session: Session, parts: list[Part]) -> int:
    txa = next(part for part in parts if part.name == "TXA")
    lines = [part.whole(5) for part in parts if part.name == "OBX" and part.get(2) in TEXT and part.get(11) != "O"]
    rows = session.scalars(select(Note).where(Note.state != NoteState.WITHDRAWN)).all()
    assert len(rows) == (1 if lines else 0)
    for row in rows:
        assert row.document_number == _entity(txa, 12)
        assert row.text == "\n".join(lines)
        assert row.document_type == txa.get(2)
        assert row.author == (", ".join(filter(None, (txa.get(9, n) for n in (2, 3)))) or txa.get(9)) or txa.get(5, 2)
    if parts[0].get(9, 2) == "T09":
        withdrawn = session.scalars(select(Note).filter_by(state=NoteState.WITHDRAWN)).one()
        assert withdrawn.document_number == _entity(txa, 13)
    return len(rows)


def _check_visit(session: Session, parts: list[Part], event: str) -> int:
    pv1 = next((part for part in parts if part.name == "PV1"), None)
    if pv1 is None or not pv1.get(19) or event not in ("A01", "A02", "A03", "A04", "A05", "A08", "A11", "A13"):
        return 0
    row = session.scalars(select(Visit)).one()
    assert row.number.partition("^")[0] == pv1.get(19)
    assert (row.patient_class, row.location) == (pv1.get(2), pv1.whole(3))
    return 1


def _check_merges(session: Session, parts: list[Part]) -> int:
    count = 0
    for pid, mrg in itertools.pairwise(parts):
        if (pid.name, mrg.name) == ("PID", "MRG"):
            kept, merged = (
                session.scalars(select(Patient).filter_by(patient_id=identifier, issuer=authority)).one()
                for identifier, authority in (_identity(pid, 3), _identity(mrg, 1))
            )
            assert kept is merged or merged.survivor_fk is not None
            count += 1
    return count


# ------------------------------------------------------------------------------------------------ other encodings


def _outcome(store: Records, raw: bytes) -> Any:
    """Return what a message leaves in the records, or the code by which it is refused."""
    try:
        with landed(store, [raw]) as session:
            return rows_of(session)
    except Hl7InputError as exc:
        return exc.error_code, exc.location


def _other_delimiters(text: str) -> str:
    """Write a message with delimiters that do not occur in it."""
    free = [character for character in "#$%!*@`=?;[]{}<>" if character not in text]
    if len(free) < 5:
        pytest.fail("the message leaves no five characters to separate by")
    return text.translate(str.maketrans("|^~&\\", "".join(free[:5])))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\r"], ids=["LF", "CRLF", "empty lines"])
def test_line_ends_make_no_difference(store: Records, texts: dict[str, str], end: str) -> None:
    for name, text in texts.items():
        assert _outcome(store, text.replace("\r", end).encode()) == _outcome(store, text.encode()), name


def test_delimiters_make_no_difference(store: Records, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        other = _other_delimiters(text)
        assert other[3:8] != text[3:8]
        assert _outcome(store, other.encode()) == _outcome(store, text.encode()), name


def _in_chinese(text: str, declared: str) -> str:
    """Give the patient a Chinese name, and say in MSH-18 what set the message is in."""
    lines = text.split("\r")
    head = lines[0].split("|")
    head += [""] * (18 - len(head))
    head[17] = declared
    lines[0] = "|".join(head)
    for number, line in enumerate(lines):
        if line.startswith("PID|"):
            fields = line.split("|")
            fields[5] = "张^伟~" + fields[5]
            lines[number] = "|".join(fields)
    return "\r".join(lines)


@pytest.mark.parametrize(("declared", "codec"), [("UNICODE UTF-8", "utf_8"), ("GB 18030-2000", "gb18030")])
def test_chinese_names_arrive_in_either_set(store: Records, texts: dict[str, str], declared: str, codec: str) -> None:
    for name, text in texts.items():
        if name in REFUSED:
            continue
        with landed(store, [_in_chinese(text, declared).encode(codec)]) as session:
            names = session.scalars(select(Patient.name).where(Patient.name != "")).all()
        assert names, name
        assert all(stated.startswith("张^伟") for stated in names), name


def test_messages_without_a_time_are_as_old_as_their_arrival(store: Records, texts: dict[str, str]) -> None:
    text = texts["ORU-R01-RMGEAD.hl7"]
    head, end, rest = text.partition("\r")
    fields = head.split("|")
    fields[6] = ""
    with landed(store, [("|".join(fields) + end + rest).encode()]) as session:
        assert session.scalars(select(Observation.stated_at)).all() == [RECEIVED]
