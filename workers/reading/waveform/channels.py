"""What the channels of a waveform are called: from codes and labels to the names that models know."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pydicom.dataset import Dataset

from models.contracts import Code

#: Numbers of ECG leads: of ISO/IEEE 11073-10102 (code ``2:n``, scheme MDC) and of SCP-ECG (``5.6.3-9-n``, scheme
#: SCPECG), which are the same (PS3.16 CID 3001).
LEADS: Mapping[int, str] = MappingProxyType(
    {
        1: "I",
        2: "II",
        61: "III",
        62: "aVR",
        63: "aVL",
        64: "aVF",
        65: "-aVR",
        **{n + 2: f"V{n}" for n in range(1, 8)},
        66: "V8",
        67: "V9",
        **{n + 8: f"V{n}R" for n in range(2, 8)},
        16: "X",
        17: "Y",
        18: "Z",
        126: "MLII",
        92: "MCL1",
        93: "MCL2",
        94: "MCL3",
        95: "MCL4",
        96: "MCL5",
        97: "MCL6",
    }
)

#: Sources of sound (PS3.16 CID 3000).
SOUNDS: Mapping[str, str] = MappingProxyType(
    {
        "109110": "VOICE",
        "109111": "NARRATIVE",
        "109112": "AMBIENT",
        "109113": "DOPPLER",
        "109114": "PCG",
        "109115": "PHYSIOLOGICAL",
    }
)

#: Longest name that is kept.
MAX_NAME = 32

_BY_TEXT = MappingProxyType({name.casefold(): name for name in (*LEADS.values(), *SOUNDS.values())})
_CODE = re.compile(r"(?:2:|5\.6\.3-9-)(\d{1,3})")
_WORDS = re.compile(r"^(?:mdc_ecg_)?(?:lead)?[ _:]*([-+]?[a-z0-9]{1,6})(?: *\(einthoven\))?$")


def channel_names(definitions: Sequence[Dataset]) -> tuple[str, ...]:
    """Name the channels of a multiplex group.

    The code of Channel Source Sequence counts, else Channel Label, else the meaning of the code. Where several channels
    have one code, the writer gave them all the same: their labels and meanings count.
    """
    coded = [_by_code(source_of(item)) for item in definitions]
    often = Counter(name for name in coded if name)
    return tuple(
        name if name and often[name] == 1 else _by_text(item) or name or f"channel {at + 1}"
        for at, (name, item) in enumerate(zip(coded, definitions, strict=True))
    )


def source_of(definition: Dataset) -> Code | None:
    """Read the first item of Channel Source Sequence; None where it has no code."""
    return _code(definition, "ChannelSourceSequence")


def unit_of(definition: Dataset) -> Code | None:
    """Read the unit of Channel Sensitivity; None where there is none."""
    return _code(definition, "ChannelSensitivityUnitsSequence")


def lead(text: str) -> str:
    """Give the name of an ECG lead or a source of sound that a text means; "" if it means none."""
    match = _WORDS.match(text.strip().casefold()[:64])
    return _BY_TEXT.get(match.group(1), "") if match else ""


def _code(definition: Dataset, keyword: str) -> Code | None:
    for item in (definition.get(keyword) or [])[:1]:
        value = str(item.get("CodeValue") or item.get("LongCodeValue") or "")
        scheme, meaning = str(item.get("CodingSchemeDesignator") or ""), str(item.get("CodeMeaning") or "")
        if value or meaning:
            return Code(value[:64], scheme[:16], meaning[:64])
    return None


def _by_code(source: Code | None) -> str:
    if source is None:
        return ""
    if source.scheme == "DCM":
        return SOUNDS.get(source.value, "")
    match = _CODE.fullmatch(source.value) if source.scheme in ("MDC", "SCPECG") else None
    if match:
        return LEADS.get(int(match.group(1)), "")
    return lead(source.value) if source.scheme == "MDC" else ""


def _by_text(definition: Dataset) -> str:
    """Name a channel by its label, else by the meaning of its code; as a lead where it is one, else as it is."""
    source = source_of(definition)
    texts = [str(definition.get("ChannelLabel") or ""), source.meaning if source else ""]
    for text in texts:
        if name := lead(text):
            return name
    return next((text.strip()[:MAX_NAME] for text in texts if text.strip()), "")
