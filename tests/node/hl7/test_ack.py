"""Acknowledgements: what ours say, and how a peer's are read."""

from __future__ import annotations

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

from node.errors import DeliveryError, Hl7InputError
from node.hl7 import ack as acks
from node.hl7.message import parse, peek
from node.settings import Hl7Section

SETTINGS = Hl7Section(application="OVERREAD", facility="NODE")
ERROR = Hl7InputError("PID-3 is missing", error_code="101", location="PID^1^3")


def raw(version: str = "2.5.1", charset: str = "", msh2: str = "^~\\&", kind: str = "ADT^A01^ADT_A01") -> bytes:
    return f"MSH|{msh2}|RIS|HOSP|X|Y|20260101||{kind}|CTRL1|T|{version}||||||{charset}\rPID|1\r".encode()


@pytest.mark.parametrize("answer", [acks.accept, lambda h, s: acks.refuse(h, s, ERROR)])
def test_an_acknowledgement_passes_the_strict_validation_of_hl7apy(answer: object) -> None:
    assert callable(answer)
    text = answer(peek(raw()), SETTINGS).decode()
    message = parse_message(text, validation_level=VALIDATION_LEVEL.STRICT)
    assert message.validate()
    assert message.msa.msa_2.value == "CTRL1"


def test_an_acceptance_turns_sender_and_receiver_and_echoes_the_header() -> None:
    message = parse(acks.accept(peek(raw(charset="UNICODE UTF-8")), SETTINGS))
    msh = message.segments[0]
    assert [msh.raw(n) for n in (3, 4, 5, 6)] == ["OVERREAD", "NODE", "RIS", "HOSP"]
    assert (msh.raw(9), msh.raw(11), msh.raw(12), msh.raw(18)) == ("ACK^A01^ACK", "T", "2.5.1", "UNICODE UTF-8")
    msa = message.require("MSA")
    assert (msa.raw(1), msa.raw(2)) == ("AA", "CTRL1")
    assert message.first("ERR") is None


def test_a_refusal_says_what_and_where() -> None:
    message = parse(acks.refuse(peek(raw()), SETTINGS, ERROR))
    err = message.require("ERR")
    assert (err.raw(2), err.get(3), err.get(3, 3), err.raw(4), err.get(8)) == (
        "PID^1^3",
        "101",
        "HL70357",
        "E",
        "PID-3 is missing",
    )
    assert message.require("MSA").raw(1) == "AE"


def test_versions_before_2_5_get_the_error_in_err_1() -> None:
    err = parse(acks.refuse(peek(raw("2.3.1")), SETTINGS, ERROR)).require("ERR")
    assert err.raw(1) == "PID^1^3^101&Required field missing&HL70357"
    assert err.raw(3) == ""


def test_the_senders_own_delimiters_are_used() -> None:
    body = b"MSH#!*?%#RIS!1#HOSP###2026##ADT!A01#C!1#P#2.4\rPID#1\r"
    answer = acks.refuse(peek(body), SETTINGS, Hl7InputError("100% wrong!", error_code="102", location="MSH^1^18"))
    message = parse(answer)
    assert answer.startswith(b"MSH#!*?%#OVERREAD#")
    assert message.segments[0].raw(5) == "RIS^1"
    assert message.require("MSA").get(3) == "100% wrong!"


def test_delimiters_that_a_time_has_in_it_are_escaped() -> None:
    body = b"MSH+^~\\&+RIS+HOSP+++2026++ADT^A01+C1+P+2.5.1\rPID+1\r"
    msh, msa = parse(acks.refuse(peek(body), SETTINGS, ERROR)).segments[:2]
    assert msh.get(7).endswith("+0000")
    assert [msh.get(field) for field in (9, 11, 12)] == ["ACK", "P", "2.5.1"]
    assert [msa.get(field) for field in (1, 2)] == ["AE", "C1"]


def test_delimiters_that_a_version_has_in_it_are_escaped() -> None:
    answer = acks.accept(peek(b"MSH.^~\\&.RIS.HOSP...2026..ADT^A01.C1.P.\rPID.1\r"), SETTINGS)
    assert answer.split(b"\r")[0].split(b".")[11] == b"2\\F\\5\\F\\1"
    assert answer.split(b"\r")[1] == b"MSA.AA.C1"


def test_an_acknowledgement_is_in_the_senders_set() -> None:
    body = "MSH|^~\\&|Röntgen|H|||2026||ADT^A01|1|P|2.5||||||8859/1\rPID|1\r".encode("latin_1")
    assert "|Röntgen|".encode("latin_1") in acks.accept(peek(body), SETTINGS)


def test_bytes_that_are_not_in_the_declared_set_are_not_echoed() -> None:
    body = "MSH|^~\\&|Röntgen|H|||2026||ADT^A01|1|P|2.5||||||ASCII\rPID|1\r".encode()
    answer = acks.refuse(peek(body), SETTINGS, ERROR)
    assert b"|R??ntgen|" in answer
    assert answer.isascii()


@pytest.mark.parametrize("junk", [b"", b"\xff\xfe\x00", b"hello", b"MSH", b"MSH|^~\\&|\x01\x02|" + b"x" * 9000])
def test_what_cannot_be_read_is_still_answered_well(junk: bytes) -> None:
    error = Hl7InputError("the message does not begin with MSH", error_code="100", location="MSH^1", ack="AR")
    message = parse(acks.refuse(peek(junk), SETTINGS, error))
    assert message.require("MSA").raw(1) == "AR"
    assert message.require("ERR").get(3) == "100"


def test_an_answer_is_read_with_its_error() -> None:
    ack = acks.read(acks.refuse(peek(raw()), SETTINGS, ERROR))
    assert ack == acks.Ack("AE", "CTRL1", "101", "PID^1^3", "PID-3 is missing")
    old = acks.read(acks.refuse(peek(raw("2.3")), SETTINGS, ERROR))
    assert (old.code, old.error_code, old.text) == ("AE", "101", "PID-3 is missing")


@pytest.mark.parametrize("version", ["2.3", "2.6"])
def test_an_answer_with_other_delimiters_is_read_with_its_error(version: str) -> None:
    body = f"MSH#!*?%#RIS!1#HOSP###2026##ADT!A01#C1#P#{version}\rPID#1\r".encode()
    ack = acks.read(acks.refuse(peek(body), SETTINGS, ERROR))
    assert (ack.code, ack.control_id, ack.error_code, ack.text) == ("AE", "C1", "101", "PID-3 is missing")
    assert ack.location in ("PID^1^3", "")


@pytest.mark.parametrize("answer", [b"", b"MSH|^~\\&|\r", b"\xff\x00", b"MSH|^~\\&|A|B|||2||ACK|1|P|2.5\rMSA|OK|1\r"])
def test_an_answer_without_a_known_msa_1_is_no_acknowledgement(answer: bytes) -> None:
    with pytest.raises(DeliveryError):
        acks.read(answer)


@pytest.mark.parametrize("code", ["AA", "CA"])
def test_only_aa_and_ca_for_our_control_id_are_acceptance(code: str) -> None:
    acks.check(acks.Ack(code, "1"), "1")
    with pytest.raises(DeliveryError, match="another message"):
        acks.check(acks.Ack(code, "2"), "1")


@pytest.mark.parametrize("code", ["AE", "AR", "CE", "CR"])
def test_a_refusal_raises_with_its_code_and_reason(code: str) -> None:
    with pytest.raises(acks.AckRefused) as caught:
        acks.check(acks.Ack(code, "1", "101", "PID^1^3", "Jane Doe has no id"), "1")
    assert caught.value.status == code
    assert "101 Required field missing at PID^1^3" in str(caught.value)
    assert "Jane" not in str(caught.value)
    assert "Jane Doe has no id" in caught.value.reason


def test_a_refusal_of_the_content_is_not_worth_another_try_and_one_of_the_moment_is() -> None:
    def refusal(error_code: str) -> acks.AckRefused:
        with pytest.raises(acks.AckRefused) as caught:
            acks.check(acks.Ack("AE", "1", error_code), "1")
        return caught.value

    assert not refusal("101").retryable
    assert refusal("207").retryable
    assert refusal("").retryable
