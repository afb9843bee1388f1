"""What a Store request is answered with: the Store Instances Response Module (PS3.18 annex I) and its status. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET

from node.dicom.landing import TOO_LARGE, Taken

OK, ACCEPTED, BAD_REQUEST, TIMEOUT, CONFLICT, CONTENT_TOO_LARGE, UNAVAILABLE = 200, 202, 400, 408, 409, 413, 503
CANNOT_UNDERSTAND = 0xC000
NATIVE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"

Model = dict[str, dict[str, Any]]
"""A data set in the DICOM JSON model (PS3.18 annex F)."""

KEYWORDS: Mapping[str, str] = {
    "00081150": "ReferencedSOPClassUID",
    "00081155": "ReferencedSOPInstanceUID",
    "00081190": "RetrieveURL",
    "00081196": "WarningReason",
    "00081197": "FailureReason",
    "00081198": "FailedSOPSequence",
    "00081199": "ReferencedSOPSequence",
    "0008119A": "OtherFailuresSequence",
}


def http_status(taken: Sequence[Taken], fault: int | None = None) -> int:
    """Return the status of an answer (PS3.18 table 10.5.3-1 and section 8.5).

    Parameters
    ----------
    taken
        What became of each part.
    fault
        Why the request itself broke off: 400 (bad syntax), 408 (too slow) or 413 (too long); None if it did not.
    """
    kept = sum(item.kept for item in taken)
    if fault in (TIMEOUT, CONTENT_TOO_LARGE):
        return fault
    if kept:
        return OK if fault is None and all(item.status == 0 for item in taken) else ACCEPTED
    if fault or not taken:
        return BAD_REQUEST
    if all(item.again for item in taken):
        return UNAVAILABLE
    return CONTENT_TOO_LARGE if all(item.status == TOO_LARGE for item in taken) else CONFLICT


def module(taken: Sequence[Taken], fault: int | None = None) -> Model:
    """Return the Store Instances Response Module (PS3.18 table I.1-1).

    Retrieve URL (type 2) is empty: nothing can be retrieved here. A failure without SOP Instance UID, and a request
    that broke off, are items of Other Failures Sequence.
    """
    failed = [item for item in taken if not item.kept]
    sequences = {
        "00081198": [_reference(item) | _reason("00081197", item.status) for item in failed if item.sop_instance],
        "00081199": [_stored(item) for item in taken if item.kept],
        "0008119A": [_reason("00081197", item.status) for item in failed if not item.sop_instance]
        + ([_reason("00081197", CANNOT_UNDERSTAND)] if fault else []),
    }
    found: Model = {"00081190": {"vr": "UR"}}
    return found | {tag: {"vr": "SQ", "Value": items} for tag, items in sequences.items() if items}


def encode(model: Model, media: str) -> bytes:
    """Encode a module as the media type that was chosen."""
    if media.endswith("xml"):
        root = ET.Element("NativeDicomModel", {"xmlns": NATIVE, "xml:space": "preserve"})
        _attributes(root, model)
        return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))
    return json.dumps(model, separators=(",", ":")).encode("ascii")


def _reference(item: Taken) -> Model:
    """SOP Instance Reference Macro (PS3.3 table 10-11)."""
    return {
        "00081150": {"vr": "UI", "Value": [item.sop_class]},
        "00081155": {"vr": "UI", "Value": [item.sop_instance]},
    }


def _stored(item: Taken) -> Model:
    warning = _reason("00081196", item.status) if item.status else {}
    return _reference(item) | {"00081190": {"vr": "UR"}} | warning


def _reason(tag: str, status: int) -> Model:
    return {tag: {"vr": "US", "Value": [status]}}


def _attributes(parent: ET.Element, model: Model) -> None:
    """Write the Native DICOM Model (PS3.19 annex A.1)."""
    for tag, attribute in model.items():
        names = {"tag": tag, "vr": attribute["vr"], "keyword": KEYWORDS[tag]}
        element = ET.SubElement(parent, "DicomAttribute", names)
        for number, value in enumerate(attribute.get("Value", ()), start=1):
            if attribute["vr"] == "SQ":
                _attributes(ET.SubElement(element, "Item", number=str(number)), value)
            else:
                ET.SubElement(element, "Value", number=str(number)).text = str(value)
