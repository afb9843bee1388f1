"""Orders, results and documents that nobody in his right mind would send: refused or taken, never an error of ours."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.errors import Hl7InputError
from node.hl7 import inbound
from node.records.engine import Records
from node.settings import Hl7Section
from tests.node.hl7.landing import landed
from tests.stores import empty

SKELETONS = {
    "ORM^O01": ("PID", "PV1", "ORC", "TQ1", "OBR", "SPM", "ZDS", "ORC", "OBR", "RXO"),
    "OMI^O23": ("PID", "ORC", "OBR", "IPC", "PID", "OBR", "OBX"),
    "ORU^R01": ("PID", "OBR", "OBX", "OBX", "NTE", "OBR", "OBX", "PID", "OBR", "OBX"),
    "MDM^T10": ("PID", "ORC", "OBR", "TXA", "OBX", "OBX"),
}
USUAL = {
    ("PID", 3): ["4711^^^HOSP", "4712"],
    ("ORC", 1): ["NW", "CA", "SC", "NA", "PR", "XX"],
    ("ORC", 2): ["P1", "P1^OE"],
    ("ORC", 3): ["F1", "F1^RIS"],
    ("OBR", 3): ["F1", "L1^LAB"],
    ("OBX", 2): ["NM", "SN", "CWE", "TX", "FT", "ED", "TS", "RP", "ST", "??"],
    ("OBX", 3): ["2160-0^Crea^LN", "113014^DICOM Study^DCM", "^x"],
    ("OBX", 5): ["1", "<^5", "^1^:^2", "~", "APP^TEXT^HTML^Base64^PGI+eDwvYj4=", "APP^TEXT^plain^Hex^4142"],
    ("OBX", 11): ["F", "P", "D", "W", "U", "O"],
    ("TXA", 12): ["D1", "D2^EHR"],
    ("TXA", 13): ["D1", "D0"],
    ("TXA", 19): ["AV", "CA"],
}
"""Fields that make a message go far, and what usually stands there."""
odd = st.one_of(
    st.text(alphabet='^~&\\|.brX0919azÄ张\x00\x1f" ', max_size=30),
    st.sampled_from(
        ["", '""', "^" * 50, "~" * 50, "\\X00\\", "\\XFFFF\\", "20261399", "9" * 300, "&&&^&&&", "\\.sp99999\\"]
    ),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Records]:
    """Give a record store that no message changes."""
    records = empty(tmp_path_factory.mktemp("hostile") / "records.sqlite")
    yield records
    records.close()


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from(sorted(SKELETONS)))
    lines = [f"MSH|^~\\&|LIS|HOSP|OVERREAD||{draw(st.sampled_from(['20260101', '', 'x']))}||{kind}|C1|P|2.5.1"]
    for name in SKELETONS[kind]:
        fields = [name] + [""] * 31
        for number in range(1, 32):
            usual = USUAL.get((name, number))
            if usual and draw(st.integers(0, 9)):
                fields[number] = draw(st.sampled_from(usual))
            elif draw(st.integers(0, 9)) == 0:
                fields[number] = draw(odd).replace("|", "")
        if draw(st.integers(0, 19)):
            lines.append("|".join(fields))
    return ("\r".join(lines) + "\r").encode("utf_8").replace(b"|2.5.1\r", b"|2.5.1||||||UNICODE UTF-8\r", 1)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(raw=messages())
def test_any_message_is_taken_or_refused(store: Records, raw: bytes) -> None:
    refused = ""
    try:
        with landed(store, [raw]):
            pass
    except Hl7InputError as exc:
        refused = exc.error_code
    assert refused in ("", "100", "101", "102", "103", "104", "205")


@pytest.mark.parametrize(
    "segments",
    [
        ["ORC|NW|P1", "OBR|1|P1||X", *["SPM|1|S"] * 15_000],
        ["ORC|NW|P1", *[f"OBR|1|P1|F{n}|X" for n in range(15_000)]],
        ["OBR|1||L1|X", *[f"OBX|{n}|NM|a||1" for n in range(15_000)]],
        ["OBR|1||L1|X", "OBX|1|NM|a||" + "~".join("1" * 200_000)],
        ["OBR|1||L1|X", "OBX|1|ED|a||A^TEXT^plain^Base64^" + "\\.br\\" * 200_000],
        ["TXA|1|CN||||||||||D1", "OBX|1|ED|||A^TEXT^HTML^A^" + "<p" * 400_000],
        ["TXA|1|CN||||||||||D1", "OBX|1|TX|||" + "\\" * 800_000],
        ["TXA|1|CN||||||||||D1", "OBX|1|TX|||" + "\\.sp9999\\" * 90_000],
        ["ORC|NW|P1", "OBR|1|P1|F1|X" + "|" * 27 + "~" * 400_000],
    ],
    ids=[
        "specimens",
        "procedures",
        "values",
        "repetitions",
        "line ends",
        "markup",
        "escapes",
        "blank lines",
        "reasons",
    ],
)
def test_reading_takes_no_longer_than_the_length_of_a_message(segments: list[str]) -> None:
    kind = {"ORC": "ORM^O01", "OBR": "ORU^R01", "TXA": "MDM^T02"}[segments[0][:3]]
    head = f"MSH|^~\\&|LIS|HOSP|OVERREAD||20260101||{kind}|C1|P|2.5.1"
    raw = "\r".join((head, "PID|1||4711", *segments, "")).encode()
    began = time.process_time()
    refused = ""
    try:
        inbound.understand(raw, Hl7Section())
    except Hl7InputError as exc:
        refused = exc.error_code
    assert refused in ("", "104")
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "segments",
    [
        ["PID|1||4711", *[f"OBR|1||R{n}\rOBX|1|TX|||text" for n in range(201)]],
        [f"PID|1||{n}\rOBR|1||R{n}\rOBX|1|NM|a||1" for n in range(201)],
        ["PID|1||4711", "OBR|1||R", *["OBX|1|NM|a||1"] * 5001],
    ],
    ids=["reports", "patients", "values"],
)
def test_what_would_be_too_long_a_transaction_is_refused(segments: list[str]) -> None:
    head = "MSH|^~\\&|LIS|HOSP|OVERREAD||20260101||ORU^R01|C1|P|2.5.1"
    with pytest.raises(Hl7InputError) as caught:
        inbound.understand("\r".join((head, *segments, "")).encode(), Hl7Section())
    assert caught.value.error_code == "104"
