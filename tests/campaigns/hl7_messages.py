"""What the HL7 campaign starts from: sound messages of every kind that the node takes, about patients who are planted.

Whoever they speak of is made up, and named so that a log or a timeline that quotes one is found out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PLANTED = ("plantedname", "qz7pat", "plantedsecret", "1937052")
"""Parts of names, identifiers, texts and birth dates of the campaign's patients, in lower case."""
PATIENTS = 3000
VISIT_EVENTS = ("A01", "A02", "A03", "A04", "A05", "A08", "A11", "A13")
PERSON_EVENTS = ("A28", "A31")
MERGE_EVENTS = ("A18", "A34", "A36", "A40")
NOTE_EVENTS = tuple(f"T{number:02}" for number in range(1, 12))
CONTROLS = ("NW", "CA", "XO", "SC", "OK", "RP", "RO", "DC", "OC", "HD", "SN", "")
NAMES: Mapping[str, str] = {
    "": "Plantedname^Ada",
    "ASCII": "Plantedname^Ada^M",
    "UNICODE UTF-8": "Plantednamé^Zoë~王^小东^^^^^^I",
    "GB 18030-2000": "Plantedname^王小东",
    "8859/1": "Plantedname^Jürgen",
    "ISO IR87": "Plantedname^山田",
}
"""A patient's name by MSH-18."""
CODECS: Mapping[str, str] = {
    "": "ascii",
    "ASCII": "ascii",
    "UNICODE UTF-8": "utf_8",
    "GB 18030-2000": "gb18030",
    "8859/1": "latin_1",
    "ISO IR87": "iso2022_jp_ext",
}
CONDITIONS = ("AL", "NE", "ER", "SU", "")
ENHANCED = 0.25
"""Share of the messages that ask for the enhanced mode."""

Segments = Sequence[str]


class Messages:
    """Writes sound messages; one follows from the random numbers that are given."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.control_id = ""

    def any(self, control_id: str) -> bytes:
        """Return a message of any supported kind."""
        self.control_id = control_id
        kind, segments = self._rng.choice(KINDS)(self)
        charset = self._rng.choice(tuple(NAMES))
        text = "\r".join((self._msh(kind, charset), *segments, "")).replace("@NAME@", NAMES[charset])
        return text.encode(CODECS[charset])

    def _msh(self, kind: str, charset: str) -> str:
        rng = self._rng
        version = rng.choice(("2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8"))
        accept = application = ""
        if rng.random() < ENHANCED:
            accept, application = rng.choice(CONDITIONS), rng.choice(CONDITIONS)
        sender = rng.choice(("RIS|HOSP", "EHR|HOSP", "LAB|", "ADT|OTHER"))
        fields = f"MSH|^~\\&|{sender}|OVERREAD||{self._stamp()}||{kind}|{self.control_id}|P|{version}"
        return f"{fields}|||{accept}|{application}||{charset}".rstrip("|")

    def _stamp(self) -> str:
        rng = self._rng
        day = f"20{rng.randrange(20, 27)}{rng.randrange(1, 13):02}{rng.randrange(1, 29):02}"
        return f"{day}{rng.randrange(24):02}{rng.randrange(60):02}{rng.randrange(60):02}{rng.choice(('', '+0100'))}"

    def _patient(self) -> str:
        rng = self._rng
        return f"QZ7PAT{rng.randrange(PATIENTS):05}^^^{rng.choice(('HOSP', 'HOSP', 'OTHER', ''))}^MR"

    def _pid(self) -> str:
        rng = self._rng
        return f"PID|1||{self._patient()}||@NAME@||1937052{rng.randrange(10)}|{rng.choice('FMOU')}"

    def _pv1(self) -> str:
        rng = self._rng
        number = f"V{rng.randrange(5000)}^^^HOSP" if rng.random() < 0.7 else ""
        return f"PV1|1|{rng.choice('IOE')}|WARD^1^2^HOSP||||||||||||||||{number}"

    def _numbers(self) -> tuple[str, str, str]:
        number = self._rng.randrange(5000)
        return f"P{number}^RIS", f"F{number}^RIS", f"ACC{number}"

    def visit(self) -> tuple[str, Segments]:
        """ADT about a visit."""
        event = self._rng.choice(VISIT_EVENTS)
        return f"ADT^{event}^ADT_A01", (f"EVN|{event}|{self._stamp()}", self._pid(), self._pv1())

    def person(self) -> tuple[str, Segments]:
        """ADT about a person."""
        event = self._rng.choice(PERSON_EVENTS)
        return f"ADT^{event}^ADT_A05", (f"EVN||{self._stamp()}", self._pid(), "PV1|1|N")

    def merge(self) -> tuple[str, Segments]:
        """ADT that makes two patients one."""
        event = self._rng.choice(MERGE_EVENTS)
        pairs = [line for _ in range(self._rng.randrange(1, 3)) for line in (self._pid(), f"MRG|{self._patient()}")]
        return f"ADT^{event}^ADT_A39", (f"EVN||{self._stamp()}", *pairs)

    def order(self) -> tuple[str, Segments]:
        """ORM^O01 as IHE has it."""
        placer, filler, accession = self._numbers()
        obr = f"OBR|1|{placer}|{filler}|24590-2^MR Brain^LN||||||||||||||{accession}|||||||||^^^^^S||||^plantedsecret"
        return "ORM^O01^ORM_O01", (self._pid(), self._pv1(), f"ORC|{self._control()}|{placer}|{filler}||CM", obr)

    def imaging_order(self) -> tuple[str, Segments]:
        """OMI^O23."""
        placer, filler, accession = self._numbers()
        return "OMI^O23^OMI_O23", (
            self._pid(), f"ORC|{self._control()}|{placer}|{filler}", "TQ1|1||||||||A^ASAP^HL70485",
            f"OBR|1|{placer}|{filler}|MRB^MR Brain^L", f"IPC|{accession}^RIS|RP1|1.2.3.{accession[3:]}|SPS1|MR",
        )  # fmt: skip

    def general_order(self) -> tuple[str, Segments]:
        """OMG^O19."""
        placer, filler, _ = self._numbers()
        return "OMG^O19^OMG_O19", (
            self._pid(), f"ORC|{self._control()}|{placer}|{filler}", "TQ1|1||||||||S",
            f"OBR|1|{placer}|{filler}|CTC^CT Chest^L", "NTE|1||plantedsecret", "OBX|1|ST|X^Y^L||plantedsecret||||||F",
        )  # fmt: skip

    def _control(self) -> str:
        return self._rng.choice(CONTROLS)

    def note(self) -> tuple[str, Segments]:
        """MDM."""
        rng, event = self._rng, self._rng.choice(NOTE_EVENTS)
        parent = f"D{rng.randrange(5000)}" if rng.random() < 0.3 else ""
        number = f"D{rng.randrange(5000)}"
        txa = f"TXA|1|CN|TX|{self._stamp()}||{self._stamp()}|||3850^Author^Chris|||{number}|{parent}||||AU||AV"
        lines = ["CHIEF COMPLAINT: plantedsecret.", "Denies seizures.", "No history of stroke\\.br\\Nodule 9 mm."]
        obxs = [
            f"OBX|{n}|{rng.choice(('TX', 'FT', 'ST'))}|34117-2^Note^LN||{line}||||||F"
            for n, line in enumerate(lines, 1)
        ]
        if rng.random() < 0.2:
            obxs = ["OBX|1|ED|34117-2^Note^LN||^TEXT^PLAIN^Base64^cGxhbnRlZHNlY3JldA==||||||F"]
        return f"MDM^{event}^MDM_T02", (f"EVN|{event}|{self._stamp()}", self._pid(), self._pv1(), txa, *obxs)

    def labs(self) -> tuple[str, Segments]:
        """ORU^R01 with laboratory values."""
        rng = self._rng
        obxs = [
            f"OBX|{n}|{rng.choice(VALUES)}|mg/dL^^UCUM|0.6-1.3|{rng.choice(('N', 'H', 'L', 'A', ''))}|||"
            f"{rng.choice('FPCX')}|||{self._stamp()}"
            for n in range(1, rng.randrange(2, 12))
        ]
        return "ORU^R01^ORU_R01", (
            self._pid(),
            f"OBR|1||L{rng.randrange(5000)}^LAB|24323-8^Panel^LN|||{self._stamp()}",
            *obxs,
        )

    def text_report(self) -> tuple[str, Segments]:
        """ORU^R01 with a report in words."""
        rng = self._rng
        return "ORU^R01^ORU_R01", (
            self._pid(), f"OBR|1||R{rng.randrange(5000)}^RAD|24627-2^CT Chest^LN|||{self._stamp()}||||||||||||||||||F",
            "OBX|1|TX|18782-3^Study observation^LN||plantedsecret: no nodule.~Second line.||||||F",
        )  # fmt: skip

    def unsupported(self) -> tuple[str, Segments]:
        """Something that the node has no use for."""
        return self._rng.choice(("ADT^A24^ADT_A24", "SIU^S12^SIU_S12", "ORU^R30", "ACK", "QRY^A19")), (self._pid(),)


VALUES = (
    "NM|2160-0^Creatinine^LN||0.9",
    "NM|2951-2^Sodium^LN||-140.5e0",
    "SN|1988-5^CRP^LN||<^5",
    "SN|X^Titer^L||^1^:^128",
    "ST|X^Comment^L||plantedsecret",
    "CWE|882-1^Blood group^LN||A^A positive^L",
    "NM|2823-3^Potassium^LN||",
    "DT|X^Date^L||20260101",
)
KINDS: Sequence[Callable[[Messages], tuple[str, Segments]]] = (
    Messages.visit, Messages.visit, Messages.person, Messages.merge, Messages.order, Messages.order,
    Messages.imaging_order, Messages.general_order, Messages.note, Messages.note, Messages.labs, Messages.labs,
    Messages.text_report, Messages.unsupported,
)  # fmt: skip


def real(folder: Path) -> list[bytes]:
    """Return the messages of the FHIR-Converter's samples, none where they are not there."""
    return [path.read_bytes() for path in sorted(folder.glob("*.hl7"))]


def relabelled(raw: bytes, control_id: str) -> bytes:
    """Give a message another MSH-10, so that it is a new one."""
    head, end, rest = raw.partition(b"\r" if b"\r" in raw.split(b"\n", 1)[0] else b"\n")
    fields = head.split(b"|")
    if len(fields) > 9:
        fields[9] = control_id.encode()
    return b"|".join(fields) + end + rest
