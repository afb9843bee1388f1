"""What a report says, line by line, without its own UIDs, control ids and times: these are of the way, not of the end.

Whether a report is preliminary or corrects an earlier one (OBR-25, OBX-11) depends on what came before it, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.dataelem import DataElement

OWN = frozenset(
    [
        "SOPInstanceUID",
        "SeriesInstanceUID",
        "ContentDate",
        "ContentTime",
        "InstanceCreationDate",
        "InstanceCreationTime",
        "SeriesDate",
        "SeriesTime",
        "PredecessorDocumentsSequence",
        "MediaStorageSOPInstanceUID",
        "ObservationDateTime",
        "ContributionDateTime",
    ]
)
"""What is the report's own, and not of its subject."""
MESSAGE_OWN = {"MSH": (7, 10), "OBR": (22, 25), "OBX": (11, 14, 19), "TQ1": (7,)}
"""Fields of times and numbers of the message itself; MSH counts its separator."""
_UID = re.compile(r"2\.25\.\d+")


def sr_lines(data: bytes, study_uid: str) -> list[str]:
    """Return the elements of an SR."""
    return list(_elements(dcmread(BytesIO(data)), "", study_uid))


def oru_lines(data: bytes, study_uid: str) -> list[str]:
    """Return the segments of a message."""
    return [_segment(text, study_uid) for text in data.decode("utf-8").split("\r") if text]


def _segment(text: str, study_uid: str) -> str:
    fields = text.split("|")
    shift = 1 if fields[0] == "MSH" else 0
    for number in MESSAGE_OWN.get(fields[0], ()):
        if number - shift < len(fields):
            fields[number - shift] = "*"
    return _own_uids("|".join(fields).rstrip("|*"), study_uid)


def _elements(ds: Dataset, path: str, study_uid: str) -> Iterator[str]:
    for element in ds:
        name = f"{path}/{element.keyword or element.tag}"
        if element.keyword in OWN:
            continue
        if element.VR == "SQ":
            for number, item in enumerate(element.value, 1):
                yield from _elements(item, f"{name}[{number}]", study_uid)
        else:
            yield f"{name}: {_own_uids(_value(element), study_uid)}"


def _value(element: DataElement) -> str:
    return str(element.value)


def _own_uids(text: str, study_uid: str) -> str:
    """Leave the study's UID and mask the others: objects that were built anew for a new context have new ones."""
    return _UID.sub(lambda found: found[0] if found[0] == study_uid else "(UID)", text)
