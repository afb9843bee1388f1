"""The Store Instances Response Module as others write it, and as nobody should."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from node.delivery.dicomweb_answer import AnswerError, StoreResponse, Verdict, parse
from node.dicom.landing import Taken
from node.web.dicomweb import report
from tests.node.delivery.stow import MR, module

# As orthanc-dicomweb 1.7 writes it, indented by tabs, with an empty sequence and Retrieve URLs.
ORTHANC = """{
	"00080005" : { "Value" : [ "ISO_IR 100" ], "vr" : "CS" },
	"00081190" : { "Value" : [ "http://127.0.0.1/dicom-web/studies/1.2" ], "vr" : "UR" },
	"00081198" : { "vr" : "SQ" },
	"00081199" : { "Value" : [ {
		"00081150" : { "Value" : [ "1.2.840.10008.5.1.4.1.1.2" ], "vr" : "UI" },
		"00081155" : { "Value" : [ "1.2.3" ], "vr" : "UI" },
		"00081190" : { "Value" : [ "http://127.0.0.1/dicom-web/studies/1.2/series/1/instances/1.2.3" ], "vr" : "UR" }
	} ], "vr" : "SQ" }
}"""
# As the Google Healthcare API writes it: in no name space, with a private attribute beside Failure Reason.
GOOGLE = """<NativeDicomModel><DicomAttribute tag="00081190" vr="UR" keyword="RetrieveURL">
<Value number="1">https://example.org/studies/1.2</Value></DicomAttribute>
<DicomAttribute tag="00081198" vr="SQ" keyword="FailedSOPSequence"><Item number="1">
<DicomAttribute tag="00081197" vr="US" keyword="FailureReason"><Value number="1">272</Value></DicomAttribute>
<DicomAttribute tag="00090097" vr="LT" keyword="FailureDetail" privateCreator="GOOGLE"><Value number="1">x</Value>
</DicomAttribute><DicomAttribute tag="00081155" vr="UI"><Value number="1">1.2.3</Value></DicomAttribute>
</Item></DicomAttribute></NativeDicomModel>"""
BOMB = """<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<NativeDicomModel><DicomAttribute tag="00081199"><Item><DicomAttribute tag="00081155"><Value>&b;</Value>
</DicomAttribute></Item></DicomAttribute></NativeDicomModel>"""
THIEF = """<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/hostname">]><NativeDicomModel><DicomAttribute tag="00081199">
<Item><DicomAttribute tag="00081155"><Value>&a;</Value></DicomAttribute></Item></DicomAttribute></NativeDicomModel>"""


def test_what_is_in_referenced_sop_sequence_is_stored() -> None:
    assert parse(ORTHANC.encode()).verdict("1.2.3") == Verdict(True, "200 stored", stored=True)
    assert parse(ORTHANC.encode()).verdict("1.2.4") is None


def test_a_warning_is_kept_with_its_meaning() -> None:
    verdict = parse(module(warned=[("1.2", 0xB000)]).encode()).verdict("1.2")
    assert verdict == Verdict(True, "0xB000", "stored with data elements coerced (0xB000)", stored=True)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0x0110, "processing failure"),
        (0x0122, "SOP class not supported"),
        (0x0124, "not authorised"),
        (0xA700, "out of resources"),
        (0xA7FF, "out of resources"),
        (0xA901, "the data set does not match its SOP class"),
        (0xC122, "transfer syntax not supported"),
        (0xC000, "cannot understand"),
        (0x1234, "reason"),
    ],
)
def test_a_failure_reason_is_said_in_words_and_as_a_status(code: int, words: str) -> None:
    verdict = parse(module(failed=[("1.2", code)]).encode()).verdict("1.2")
    assert verdict is not None
    assert (verdict.ok, verdict.status) == (False, f"0x{code:04X}")
    assert verdict.reason in (f"{words} (0x{code:04X})", f"{words} 0x{code:04X}")


@pytest.mark.parametrize("code", [0x0111, 0xB00E])
def test_a_duplicate_counts_as_there_but_not_as_stored_now(code: int) -> None:
    verdict = parse(module(failed=[("1.2", code)]).encode()).verdict("1.2")
    assert verdict is not None
    assert (verdict.ok, verdict.stored, verdict.status) == (True, False, f"0x{code:04X}")


def test_what_is_named_as_stored_and_as_failed_has_failed() -> None:
    verdict = parse(module(stored=["1.2"], failed=[("1.2", None)]).encode()).verdict("1.2")
    assert verdict == Verdict(False, "not stored", "not stored, without a reason")


def test_an_item_with_a_failure_reason_has_failed_wherever_it_is() -> None:
    body = module(stored=["1.2"]).replace('["1.2"]}', '["1.2"]}, "00081197": {"vr": "US", "Value": [272]}')
    verdict = parse(body.encode()).verdict("1.2")
    assert verdict == Verdict(False, "0x0110", "processing failure (0x0110)")


def test_xml_in_no_name_space_is_read_as_well() -> None:
    verdict = parse(GOOGLE.encode()).verdict("1.2.3")
    assert verdict == Verdict(False, "0x0110", "processing failure (0x0110)")


@pytest.mark.parametrize("media", ["application/dicom+json", "application/dicom+xml"])
def test_what_the_node_itself_answers_is_read_in_both_forms(media: str) -> None:
    taken = [Taken(0, "", MR, "1.1"), Taken(0xB000, "", MR, "1.2"), Taken(0xA700, "", MR, "1.3"), Taken(0xC000)]
    response = parse(report.encode(report.module(taken), media))
    assert response == StoreResponse({"1.1": None, "1.2": 0xB000}, {"1.3": 0xA700}, (0xC000,))
    assert response.remarks() == "cannot understand (0xC000)"


def test_a_uid_that_is_padded_and_tags_in_lower_case_are_the_same() -> None:
    body = {"0008119a": {}, "00081199": {"Value": [{"00081155": {"Value": ["1.2\0"]}}]}}
    assert parse(json.dumps([body]).encode()).stored == {"1.2": None}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"Internal error", "neither"),
        (b"<!doctype html><html><body>Welcome</body></html>", "not XML"),
        (b"<html><body>Welcome</body></html>", "no Native DICOM Model"),
        (b'{"00081199": {"vr": "SQ", "Val', "not JSON"),
        (b"{}", "none of the sequences"),
        (b"[[1], 2, null]", "none of the sequences"),
        (b'{"message": "stored"}', "none of the sequences"),
        (b"[" * 100_000, "not JSON"),
        (b'{"00081199":' + b"9" * 10_000 + b"}", "not JSON"),
        (b'\xff\xfe{\x00"\x00', "neither"),
        (b'<?xml version="1.0" encoding="nonsense"?><a/>', "not XML"),
        (b"<NativeDicomModel>" * 1000, "not XML"),
        (BOMB.encode(), "document type"),
        (THIEF.encode(), "document type"),
    ],
)
def test_what_is_no_answer_is_refused_with_the_reason(body: bytes, why: str) -> None:
    with pytest.raises(AnswerError, match=why):
        parse(body)


@pytest.mark.parametrize(
    "value", [None, "272", [None], [True], [-1], [70000], ["x"], [1.5], [[272]], [{}], ["９"], ["9" * 5000]]
)
def test_a_reason_that_is_none_is_a_failure_without_a_reason(value: Any) -> None:
    item = {"00081155": {"Value": ["1.2"]}, "00081197": {"Value": value}}
    response = parse(json.dumps({"00081198": {"Value": [item]}}).encode())
    assert response.verdict("1.2") == Verdict(False, "not stored", "not stored, without a reason")


TAGS = st.sampled_from(["00081155", "00081196", "00081197", "00081198", "00081199", "0008119A", "vr", "Value"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("1.2")
VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=4) | st.dictionaries(TAGS, v, max_size=4), max_leaves=25)


def judged(body: bytes) -> None:
    """Read a body and judge by it; only the package's own error may come out."""
    with suppress(AnswerError):
        response = parse(body)
        response.remarks()
        for uid in ("1.2", "", *response.stored, *response.failed):
            verdict = response.verdict(uid)
            assert verdict is None or len(verdict.status) <= 10


@given(st.dictionaries(TAGS, VALUES | st.fixed_dictionaries({"Value": st.lists(VALUES, max_size=4)})))
def test_no_json_raises_anything_but_the_own_error(model: dict[str, Any]) -> None:
    judged(json.dumps(model).encode())


@given(
    st.binary() | st.text().map(str.encode) | st.binary().map(lambda b: b"{" + b) | st.binary().map(lambda b: b"<" + b)
)
@example(b'<?xml version="1.0" encoding="utf-7"?><NativeDicomModel/>')
@example(b'{"\\ud800": 1}')
def test_no_bytes_raise_anything_but_the_own_error(body: bytes) -> None:
    judged(body)


@given(st.sampled_from([ORTHANC, GOOGLE, BOMB, module(failed=[("1.2", 272)], others=[1])]), st.data())
def test_no_damage_to_a_real_answer_raises_anything_but_the_own_error(answer: str, data: st.DataObject) -> None:
    body = bytearray(answer.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        body[start : start + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=6))
    judged(bytes(body))
