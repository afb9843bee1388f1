"""Acknowledgements: MSA and ERR out (HL7 v2.5.1 sections 2.14.1, 2.15.5 and 2.15.8), and reading a peer's.

A message that values MSH-15 or MSH-16 is acknowledged in the enhanced mode (section 2.9.3): an accept acknowledgement
(CA, CE, CR) says whether it is kept, an application acknowledgement (AA, AE, AR) what became of it. Each is given under
the sender's own condition (table 0155).

Control characters never reach an acknowledgement, and nothing of the message but its MSH is echoed.
"""

from __future__ import annotations

import datetime as dt
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

from node.errors import DeliveryError, Hl7InputError
from node.hl7 import charset
from node.hl7.escape import STANDARD, Delimiters, escape
from node.hl7.message import Header, Segment, header_line, part, peek
from node.settings import Hl7Section

TABLE_0357: Mapping[str, str] = {
    "0": "Message accepted",
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "104": "Value too long",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "202": "Unsupported processing id",
    "203": "Unsupported version id",
    "204": "Unknown key identifier",
    "205": "Duplicate key identifier",
    "206": "Application record locked",
    "207": "Application internal error",
}
"""Message error condition codes."""

PERMANENT = frozenset({"100", "101", "102", "103", "104", "200", "201", "202", "203"})
"""Codes of table 0357 that blame the message itself: the same bytes would be refused again."""

ACCEPTED = frozenset({"AA", "CA"})
_CODES = frozenset({"AA", "AE", "AR", "CA", "CE", "CR"})  # table 0008
_ERR_SINCE = (2, 5)
"""Version since which ERR-2 to ERR-8 exist; before it ERR-1 says everything."""

ANSWERS = frozenset({"ACK", "MCF"})
"""Message codes (MSH-9.1) that are acknowledgements themselves: they are never answered."""
_COMMIT: Mapping[str, str] = {"AA": "CA", "AE": "CE", "AR": "CR"}
_MSA_1 = re.compile(rb"\rMSA.([AC][AER])")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Under which conditions a sender wants to be answered: MSH-15 and MSH-16, "" where they are not valued."""

    accept: str = ""
    application: str = ""

    @property
    def enhanced(self) -> bool:
        """Whether the enhanced mode holds: one of the two is valued (section 2.9.2)."""
        return bool(self.accept or self.application)


def wanted(raw: bytes, header: Header) -> Wanted:
    """Read MSH-15 and MSH-16 of a message whose MSH was read as ``header``."""
    line = header_line(raw)
    separator = header.delimiters.field.encode("latin_1", "replace")
    if line[3:4] != separator:
        return Wanted()
    fields = [*line.split(separator), *[b""] * 16]
    accept, application = (_condition(field.decode("ascii", "replace")) for field in fields[14:16])
    return Wanted(accept, application)


def _condition(field: str) -> str:
    """Return a condition; what table 0155 does not have is taken for AL: an answer too many is better than none."""
    text = field.strip().upper()
    if text in ("", '""'):
        return ""
    return text if text in ("NE", "ER", "SU") else "AL"


def meets(condition: str, code: str) -> bool:
    """Whether an answer with this MSA-1 is wanted under a condition of table 0155; never where there is none."""
    return condition == "AL" or condition == ("SU" if code in ACCEPTED else "ER")


def code_of(answer: bytes) -> str:
    """Return MSA-1 of an acknowledgement of ours."""
    match = _MSA_1.search(answer)
    return match.group(1).decode() if match else ""


@dataclass(frozen=True, slots=True)
class Ack:
    """A peer's answer: MSA-1, MSA-2, the first error, and the free text of MSA-3 or ERR-8."""

    code: str
    control_id: str
    error_code: str = ""
    location: str = ""
    text: str = ""


class AckRefused(DeliveryError):
    """A peer answered AE, AR, CE or CR.

    The exception's text has codes and places only; ``reason`` adds the peer's own words, which may quote the message
    and therefore belong into the records and not into a log.
    """

    def __init__(self, ack: Ack) -> None:
        known = TABLE_0357.get(ack.error_code)
        place = f" at {ack.location}" if re.fullmatch(r"[A-Z][A-Z0-9]{2}[\^\d]*", ack.location) else ""
        error = f": {ack.error_code} {known}{place}" if known else ""
        super().__init__(
            f"the peer answered {ack.code}{error}", status=ack.code, retryable=ack.error_code not in PERMANENT
        )
        self.ack = ack
        self.reason = f"{self} ({ack.text[:500]})" if ack.text else str(self)


def accept(header: Header, settings: Hl7Section, *, commit: bool = False) -> bytes:
    """Build the AA that answers a message, or with ``commit`` the CA."""
    return _build(header, settings, "CA" if commit else "AA", "")


def refuse(header: Header, settings: Hl7Section, error: Hl7InputError, *, commit: bool = False) -> bytes:
    """Build the AE or AR that says what is wrong with a message, and where; with ``commit`` the CE or CR."""
    code = _COMMIT.get(error.hl7_ack, "CE") if commit else error.hl7_ack
    return _build(header, settings, code, str(error), error.error_code, error.location)


def too_long(limit: int) -> Hl7InputError:
    """Return the refusal of a message that exceeds the limit (code 104, AR: the same bytes never fit)."""
    return Hl7InputError(f"the message is longer than {limit} bytes", error_code="104", ack="AR")


def not_now() -> Hl7InputError:
    """Return the refusal for a failure of ours: code 207, worth another try."""
    return Hl7InputError("the message could not be processed now; send it again", error_code="207")


def internal_error(raw: bytes, settings: Hl7Section) -> bytes:
    """Build the AE for a failure of ours."""
    return refuse(peek(raw), settings, not_now())


def unasked(answer: bytes, header: Header) -> bytes:
    """Return an acknowledgement as a message of its own that asks for no answer itself: MSH-15 and MSH-16 are NE."""
    separator = header.delimiters.field.encode("latin_1", "replace")
    msh, rest = answer.split(b"\r", 1)
    fields = msh.split(separator)
    fields += [b""] * (16 - len(fields))
    fields[14:16] = b"NE", b"NE"
    return separator.join(fields) + b"\r" + rest


def _build(
    header: Header, settings: Hl7Section, code: str, text: str, error_code: str = "0", location: str = ""
) -> bytes:
    d = header.delimiters
    event = f"ACK{d.component}{header.trigger}{d.component}ACK" if _plain(header.trigger) else "ACK"
    version = header.version or escape(
        "2.5.1", d
    )  # the sender's delimiters may be any, also those of a time or a version
    msh = [
        "MSH", d.component + d.repetition + d.escape + d.subcomponent,
        escape(settings.application, d), escape(settings.facility, d),
        header.sending_application, header.sending_facility,
        escape(dt.datetime.now(dt.UTC).strftime("%Y%m%d%H%M%S+0000"), d), "", event, _control_id(),
        header.processing_id or "P", version, "", "", "", "", "", header.charset.replace("~", d.repetition),
    ]  # fmt: skip
    said = escape(text, d, newline="")
    lines = [msh, ["MSA", code, header.control_id, said]]
    if error_code != "0":
        lines.append(_err(header, error_code, location.replace("^", d.component), said))
    body = "".join(d.field.join(line).rstrip(d.field) + "\r" for line in lines)
    return _encode(body, header.charset)


def _control_id() -> str:
    """Return a new MSH-10: 20 characters, the most before v2.7. It is to be unlike any other, and no secret."""
    return f"{random.getrandbits(80):020x}"


def _err(header: Header, error_code: str, location: str, said: str) -> list[str]:
    d = header.delimiters
    meaning = TABLE_0357.get(error_code, "Application internal error")
    numbers = re.findall(r"\d+", header.version)
    if numbers and tuple(int(n) for n in numbers[:2]) < _ERR_SINCE:
        parts = [*location.split(d.component), "", "", ""][:3]
        error = d.subcomponent.join((error_code, meaning, "HL70357"))
        return ["ERR", d.component.join((*parts, error))]
    return ["ERR", "", location, d.component.join((error_code, meaning, "HL70357")), "E", "", "", "", said]


def _plain(text: str) -> bool:
    return bool(re.fullmatch(r"[A-Z0-9]{3}", text))


def _encode(body: str, declared: str) -> bytes:
    """Encode in the sender's own set; what it cannot say becomes ``?``."""
    try:
        return body.encode(charset.codec_name(declared)[1], "replace")
    except Hl7InputError:
        return body.encode("ascii", "replace")


def read(raw: bytes) -> Ack:
    """Read a peer's answer.

    Raises
    ------
    DeliveryError
        It is not an acknowledgement: no MSA, or a code that table 0008 does not have.
    """
    header = peek(raw)
    text = charset.lenient(raw, header.charset)
    segments: dict[str, Segment] = {}
    d = header.delimiters
    for line in re.split(r"[\r\n]+", text):
        fields = line.split(d.field)
        segments.setdefault(fields[0], Segment(fields[0], tuple(fields)))
    msa = segments.get("MSA", Segment("MSA", ("MSA",)))
    code = msa.raw(1).strip()
    if code not in _CODES:
        raise DeliveryError("the peer's answer is no acknowledgement: MSA-1 is missing or unknown")
    err, said_by = (_standard(segments.get(name, Segment(name, (name,))), d) for name in ("ERR", "MSA"))
    error_code = err.get(3) or part(err.raw(1), 4)
    said = err.get(8) or said_by.get(3)
    return Ack(code, msa.raw(2).strip(), error_code, err.raw(2), said)


def _standard(segment: Segment, d: Delimiters) -> Segment:
    """Return a segment with standard delimiters, for those few peers that use others."""
    if d == STANDARD:
        return segment
    ours = str.maketrans(d.component + d.repetition + d.escape + d.subcomponent, "^~\\&")
    return Segment(segment.name, tuple(field.translate(ours) for field in segment.fields))


def check(ack: Ack, control_id: str) -> None:
    """Raise unless ``ack`` accepts the message with ``control_id``.

    Raises
    ------
    DeliveryError
        MSA-2 names another message.
    AckRefused
        MSA-1 is not AA or CA.
    """
    if ack.code not in ACCEPTED and ack.control_id in ("", control_id):
        raise AckRefused(ack)
    if ack.control_id != control_id:
        raise DeliveryError("the peer acknowledged another message: MSA-2 is not the control id that was sent")
