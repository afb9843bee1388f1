"""Which image of a series of radiographs a model gets: by view, body part, kind of image and time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from models.checks import FRONTAL
from models.contracts import InputRequirements, RadiographNeeds
from workers.errors import SeriesRefused
from workers.reading.instances import attributes_of, moment_of

LATERAL = "LATERAL"
"""A view from the side that is not said to be the left or the right one."""

#: View Position by the code of View Code Sequence (PS3.16 CID 4010): SCT, and the SNOMED RT codes of older objects.
BY_CODE = MappingProxyType(
    {
        "399348003": "AP",
        "R-10206": "AP",
        "272479007": "PA",
        "R-10214": "PA",
        "R-40888": "PA",
        "399033003": FRONTAL,
        "R-10202": FRONTAL,
        "399173006": "LL",
        "R-10236": "LL",
        "399198007": "RL",
        "R-10232": "RL",
        "399067008": LATERAL,
        "R-102CD": LATERAL,
    }
)

#: Words of descriptions that name a view.
BY_WORD = MappingProxyType(
    {
        "AP": "AP",
        "PA": "PA",
        "LL": "LL",
        "RL": "RL",
        "FRONTAL": FRONTAL,
        **dict.fromkeys(("LAT", "LATERAL", "SEITL", "SEITLICH"), LATERAL),
    }
)

#: Where such words stand, if no attribute tells the view.
DESCRIPTIONS = ("AcquisitionDeviceProcessingDescription", "SeriesDescription", "ProtocolName")

#: Views from the side, whatever the model: said as such when they are all that there is.
SIDES = frozenset({"LL", "RL", LATERAL})


@dataclass(frozen=True, slots=True)
class View:
    """A view, ``""`` where nothing tells it, and the sentence to say with it."""

    name: str
    warning: str = ""


@dataclass(frozen=True, eq=False)
class Choice:
    """The image that is read, by its place among those given, its view, and what is to be said of the choice."""

    at: int
    view: str
    warnings: tuple[str, ...] = ()


def view_of(ds: Dataset) -> View:
    """Tell the view: View Position, else the code of View Code Sequence, else Patient Orientation, else descriptions.

    Patient Orientation (PS3.3 C.7.6.1.1.1) tells only that rows run from one side to the other, or from front to back.
    """
    position = str(ds.get("ViewPosition") or "").strip().upper()
    if position:
        return View(BY_WORD.get(position, position[:16]))
    for item in (ds.get("ViewCodeSequence") or [])[:1]:
        if name := BY_CODE.get(str(item.get("CodeValue", ""))):
            return View(name)
    described = _described(ds)
    across = _across(ds)
    if described and (not across or (across == LATERAL) == (described in SIDES)):
        return View(described, f"The view ({described}) is taken from a description.")
    if across:
        return View(across, "Patient Orientation alone tells the view.")
    return View("")


def choose(headers: Sequence[Dataset], needs: InputRequirements) -> Choice:
    """Pick the image that a model should read; of several that would do, the one acquired last.

    Raises
    ------
    SeriesRefused
        If all are of other views, or of another body part.
    """
    views = [view_of(ds) for ds in headers]
    wanted = needs.radiograph or RadiographNeeds()
    fitting = [at for at in range(len(headers)) if _fits(views[at].name, wanted.views)]
    unknown = [at for at in range(len(headers)) if not views[at].name]
    left = fitting or unknown
    if not left:
        raise SeriesRefused(_said(sorted({view.name for view in views}), wanted.views))
    left = _of_body_part(headers, left, needs)
    primary = [at for at in left if not _is_secondary(headers[at])] or left
    at = max(primary, key=lambda at: _order(headers[at]))
    warnings = [views[at].warning] if views[at].warning else []
    if len(primary) > 1:
        warnings.append(f"The series has {len(primary)} images of this kind: the one acquired last was read.")
    return Choice(at, views[at].name, tuple(warnings))


def _fits(view: str, wanted: Sequence[str]) -> bool:
    return not wanted or view in wanted or (view == FRONTAL and {"AP", "PA"} <= set(wanted))


def _said(found: Sequence[str], wanted: Sequence[str]) -> str:
    kind = "lateral images" if set(found) <= SIDES else "images of other views"
    return f"there are only {kind} ({', '.join(found)}); this model reads {' or '.join(wanted)}"


def _of_body_part(headers: Sequence[Dataset], left: list[int], needs: InputRequirements) -> list[int]:
    """Keep what shows the body part, where a series shows several; what does not say it comes after what does."""
    parts = {at: attributes_of(headers[at]).get("BodyPartExamined", "").strip().upper() for at in left}
    if not needs.body_parts or len(set(parts.values())) == 1:
        return left  # one part for all: the model's own check says what is wrong with it
    named = [at for at in left if parts[at] in needs.body_parts]
    return named or [at for at in left if not parts[at]] or left


def _is_secondary(ds: Dataset) -> bool:
    """Whether the pixels were made from other images (Image Type value 2; PS3.3 C.7.6.1.1.2)."""
    kind = ds.get("ImageType")
    return isinstance(kind, MultiValue) and len(kind) > 1 and kind[1] == "SECONDARY"


def _order(ds: Dataset) -> tuple[str, int, str]:
    number = ds.get("InstanceNumber")
    return moment_of(ds), int(number) if number not in (None, "") else 0, str(ds.SOPInstanceUID)


def _described(ds: Dataset) -> str:
    """Find the one view that descriptions name; "" where they name none or several."""
    found = {
        BY_WORD[word]
        for keyword in DESCRIPTIONS
        for word in re.split(r"[^A-Z]+", str(ds.get(keyword) or "")[:256].replace(".", "").upper())
        if word in BY_WORD
    }
    return found.pop() if len(found) == 1 else ""


def _across(ds: Dataset) -> str:
    """Frontal where rows run between left and right, lateral where they run between front and back; "" else."""
    value = ds.get("PatientOrientation")
    if not isinstance(value, MultiValue) or len(value) != 2:
        return ""
    row, column = (str(part)[:1].upper() for part in value)
    if column not in ("F", "H"):
        return ""
    return {"L": FRONTAL, "R": FRONTAL, "A": LATERAL, "P": LATERAL}.get(row, "")
