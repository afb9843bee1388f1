"""The geometry gate: what the planes of a series are, and whether a model may have them.

:func:`survey` looks at headers alone, so that the same planes are chosen before inference and before writing.
:func:`decide` holds what was found against what a model's card allows; what it does not allow is refused with the
reason. Refused whatever a card says: planes that lie beside their line, and several planes at one place that no
attribute tells apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from models.contracts import InputRequirements
from workers.errors import GeometryRefused
from workers.reading.volume.geometry import (
    MIN_SLICES,
    ORIENTATION_TOLERANCE,
    PIXEL_SPACING_TOLERANCE,
    ROUNDING_MM,
    SAME_POSITION_MM,
    Layout,
    Plane,
    in_order,
    lay_out,
)
from workers.reading.volume.marks import STACK_ID, Marks, sort_key

#: A few planes unlike the others are localisers or strays, not a stack: at most so many, and no more than this part.
MAX_STRAYS = 3
STRAY_PART = 0.2

Key = tuple[str, int]
"""SOP Instance UID and index of the frame."""


@dataclass(frozen=True, eq=False)
class FoundStack:
    """Planes that belong together.

    Parameters
    ----------
    order
        Indices of its planes, in order along their normal.
    layout
        How they lie.
    mark
        The attribute that tells it from other stacks of its orientation, or "".
    """

    order: tuple[int, ...]
    layout: Layout
    mark: str = ""


@dataclass(frozen=True, eq=False)
class Survey:
    """What the planes of a series are.

    Parameters
    ----------
    planes
        All planes, in the order given.
    stack
        The stack that is read: the largest, and of several phases the first.
    others
        How many other stacks or phases there are, and by what they differ.
    ambiguous
        Whether another stack, of another size or orientation, has as many planes.
    scouts
        How many localisers and strays are left out, and by what they differ.
    copies
        Pairs of planes at one place with the same marks, of two instances: the one that is kept and its copy.
    """

    planes: tuple[Plane, ...]
    stack: FoundStack
    others: int = 0
    differ: str = ""
    ambiguous: bool = False
    scouts: int = 0
    unlike: str = ""
    copies: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, eq=False)
class Decision:
    """How a series is read for a model.

    Parameters
    ----------
    stack
        Its planes.
    resample
        Whether the model gets them on another, regular grid.
    warnings
        Sentences on what was left out or done.
    """

    stack: FoundStack
    resample: bool = False
    warnings: tuple[str, ...] = field(default=())


def survey(planes: Sequence[Plane], keys: Sequence[Key], marks: Callable[[int], Marks]) -> Survey:
    """Find the stacks among the planes of a series.

    Parameters
    ----------
    planes, keys
        The planes, in any order, and what names each: the outcome does not depend on the order.
    marks
        Gives the marks of a plane by index; asked for only where planes lie at one place or unevenly.

    Raises
    ------
    GeometryRefused
        If there is no stack at all.
    """
    chosen = [index for index, plane in enumerate(planes) if not plane.scout]
    if planes and not chosen:
        raise GeometryRefused("every image of the series is a localiser: there is no stack of slices")
    groups = sorted(_alike(planes, chosen), key=len, reverse=True) or [[]]
    largest, rest = groups[0], groups[1:]
    strays = [group for group in rest if len(group) <= min(MAX_STRAYS, STRAY_PART * len(largest))]
    stacks, copies = _split(planes, keys, marks, largest)
    others = len(rest) - len(strays) + len(stacks) - 1
    real = [group for group in rest if group not in strays]
    scouts = len(planes) - len(chosen)
    return Survey(
        planes=tuple(planes),
        stack=stacks[0],
        others=others,
        differ=_difference(planes[largest[0]], planes[real[0][0]]) if real else stacks[0].mark,
        ambiguous=any(len(group) == len(largest) for group in real),
        scouts=scouts + sum(len(group) for group in strays),
        unlike=_difference(planes[largest[0]], planes[strays[0][0]]) if strays else "",
        copies=copies,
    )


def decide(found: Survey, needs: InputRequirements, same_pixels: Callable[[int, int], bool]) -> Decision:
    """Decide whether a series is read as it is, resampled, or refused.

    Parameters
    ----------
    found
        What the series is.
    needs
        What the model's card allows.
    same_pixels
        Whether two planes show the same, by their indices.

    Raises
    ------
    GeometryRefused
        With the reason, where the card does not allow what was found.
    """
    said = [*_leave_out_scouts(found, needs), *_leave_out_copies(found, same_pixels), *_choose_stack(found, needs)]
    layout = found.stack.layout
    if layout.repeated:
        raise GeometryRefused(_at_one_place(layout.repeated, len(found.planes)))
    resample = _resample_tilt(layout, needs)
    resample = _resample_steps(layout, needs) or resample
    if not layout.straight:
        raise GeometryRefused("the slices are shifted sideways against each other")
    if resample and len(layout.heights) < needs.min_slices:
        raise GeometryRefused(
            f"the stack has {len(layout.heights)} slices, the model needs at least {needs.min_slices}"
        )
    return Decision(found.stack, resample, tuple(said))


def describe(layout: Layout) -> str:
    """Say what is irregular in a stack; empty where nothing is."""
    words = [f"lean by {layout.tilt_deg:.1f} degrees against their stack (gantry tilt)"] if layout.tilt_deg else []
    words += [] if layout.even else [f"are {_apart(layout)} apart"]
    return " and ".join(words)


def planes_digest(keys: Sequence[Key], planes: Sequence[Plane]) -> str:
    """Digest of where slices lie and of which images they are, in their order; ten thousandths of a mm count."""
    numbers = np.array([[*p.position, *p.row_cosine, *p.column_cosine, *p.spacing, *p.size] for p in planes])
    digest = hashlib.sha256("".join(f"{uid}\\{frame}\n" for uid, frame in keys).encode())
    digest.update((np.round(numbers, 4) + 0.0).astype("<f8").tobytes())  # 0.0: the two zeros are one
    return digest.hexdigest()


def _leave_out_scouts(found: Survey, needs: InputRequirements) -> list[str]:
    if not found.scouts:
        return []
    if needs.scouts != "leave_out":
        why = f"the slices have {found.unlike}" if found.unlike else f"not all of {len(found.planes)} images are slices"
        raise GeometryRefused(f"{why} (a localiser, or several stacks)")
    return [f"Left out of the series: {_count(found.scouts, 'image')}, a localiser or unlike the others."]


def _leave_out_copies(found: Survey, same_pixels: Callable[[int, int], bool]) -> list[str]:
    differing = sum(not same_pixels(kept, copy) for kept, copy in found.copies)
    if differing:
        raise GeometryRefused(_at_one_place(differing, len(found.planes)))
    return (
        [f"Left out of the series: {_count(len(found.copies), 'copy', 'copies')} of a slice."] if found.copies else []
    )


def _choose_stack(found: Survey, needs: InputRequirements) -> list[str]:
    if not found.others:
        return []
    there = f"{found.others + 1} stacks or phases, told apart by {found.differ or 'their orientation'}"
    if needs.several_stacks != "largest":
        if not found.stack.mark:
            raise GeometryRefused(f"the slices have {found.differ} (a localiser, or several stacks)")
        count = len(found.stack.order)
        raise GeometryRefused(f"of {len(found.planes)} slices {count} are one of {there}")
    if found.ambiguous:
        raise GeometryRefused("the series has several stacks of the same number of slices: which is meant is not known")
    return [f"The series has {there}; read was one of {_count(len(found.stack.order), 'slice')} (largest, then first)."]


def _resample_tilt(layout: Layout, needs: InputRequirements) -> bool:
    if not layout.tilt_deg or needs.tilt == "accept":
        return False
    said = f"the stack leans by {layout.tilt_deg:.1f} degrees against its slices (gantry tilt)"
    if needs.tilt != "resample":
        raise GeometryRefused(said)
    if layout.tilt_deg > needs.max_tilt_deg:
        raise GeometryRefused(f"{said}; the model takes up to {needs.max_tilt_deg:g} degrees")
    return True


def _resample_steps(layout: Layout, needs: InputRequirements) -> bool:
    if layout.even:
        return False
    missing = layout.missing
    cause = (
        f"{_count(missing, 'slice seems', 'slices seem')} to be missing"
        if missing
        else "uneven steps or missing slices"
    )
    said = f"the slices are {_apart(layout)} apart, not evenly ({cause})"
    if (needs.missing_slices if missing else needs.uneven_spacing) != "resample":
        raise GeometryRefused(said)
    if layout.gaps.max() > needs.spacing_mm[1] + ROUNDING_MM:
        raise GeometryRefused(f"{said}; the model takes steps of up to {needs.spacing_mm[1]:g} mm")
    return True


def _apart(layout: Layout) -> str:
    return f"{layout.gaps.min():.2f} to {layout.gaps.max():.2f} mm"


def _at_one_place(count: int, planes: int) -> str:
    return f"{count} of {planes} slices lie where another one lies (several phases, echoes or stacks, or copies)"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one}" if number == 1 else f"{number} {many or one + 's'}"


def _alike(planes: Sequence[Plane], indices: Sequence[int]) -> list[list[int]]:
    """Groups of planes of one size, orientation and pixel spacing."""
    left = np.array(indices, dtype=np.intp)
    cosines = np.array([[*plane.row_cosine, *plane.column_cosine] for plane in planes])
    spacing = np.array([plane.spacing for plane in planes])
    size = np.array([plane.size for plane in planes])
    groups = []
    while len(left):
        first = left[0]
        fits = np.abs(cosines[left] - cosines[first]).max(axis=1) <= ORIENTATION_TOLERANCE
        fits &= np.isclose(spacing[left], spacing[first], rtol=PIXEL_SPACING_TOLERANCE, atol=0).all(axis=1)
        fits &= (size[left] == size[first]).all(axis=1)
        groups.append(left[fits].tolist())
        left = left[~fits]
    return groups


def _difference(one: Plane, other: Plane) -> str:
    """Say by what two planes cannot be of one stack."""
    if one.size != other.size:
        return "different numbers of rows or columns"
    apart = np.concatenate([one.row_cosine - other.row_cosine, one.column_cosine - other.column_cosine])
    return "different orientations" if np.abs(apart).max() > ORIENTATION_TOLERANCE else "different pixel spacings"


def _split(
    planes: Sequence[Plane], keys: Sequence[Key], marks: Callable[[int], Marks], group: Sequence[int]
) -> tuple[list[FoundStack], tuple[tuple[int, int], ...]]:
    """Tell stacks and phases of parallel planes apart, the largest first; with the copies that were left out."""
    whole = _stacked(planes, group)
    if whole.layout.even and not whole.layout.repeated:
        return [whole], ()
    found = {index: marks(index) for index in group}
    kept, copies = _without_copies(planes, keys, found, group)
    parts = _parts(found, kept, (STACK_ID,))
    if len(parts) < 2 or min(map(len, parts)) < MIN_SLICES:
        parts = [kept]
    stacks = [stack for part in parts for stack in _phases(planes, found, part, STACK_ID if len(parts) > 1 else "")]
    return sorted(stacks, key=lambda stack: -len(stack.order)), copies


def _stacked(planes: Sequence[Plane], group: Sequence[int], mark: str = "") -> FoundStack:
    order = in_order([planes[index] for index in group]) if group else ()
    ordered = tuple(group[at] for at in order)
    return FoundStack(ordered, lay_out([planes[index] for index in ordered]), mark)


def _without_copies(
    planes: Sequence[Plane], keys: Sequence[Key], marks: dict[int, Marks], group: Sequence[int]
) -> tuple[list[int], tuple[tuple[int, int], ...]]:
    """Drop planes that lie where one of another instance with the same marks lies; of each the lowest key is kept."""
    first: dict[tuple[object, ...], int] = {}
    kept: list[int] = []
    copies = []
    for index in sorted(group, key=lambda index: keys[index]):
        place = np.rint(planes[index].position / SAME_POSITION_MM).tolist()
        twin = first.setdefault((*place, *sorted(marks[index].items())), index)
        if keys[twin][0] == keys[index][0]:
            kept.append(index)
        else:
            copies.append((twin, index))
    return kept, tuple(copies)


def _phases(planes: Sequence[Plane], marks: dict[int, Marks], part: list[int], mark: str) -> list[FoundStack]:
    """Split planes at one place by the attribute that makes the fewest stacks of them; as one where none does."""
    whole = _stacked(planes, part, mark)
    if not whole.layout.repeated:
        return [whole]
    names = list(dict.fromkeys(name for index in part for name in marks[index] if name != STACK_ID))
    together = [name for name in names if len({marks[index].get(name) for index in part}) > 1]
    best: list[FoundStack] = []
    for chosen in (*((name,) for name in together), tuple(together)):
        parts = _parts(marks, part, chosen)
        if len(parts) < 2 or min(map(len, parts)) < MIN_SLICES:
            continue
        stacks = [_stacked(planes, group, " and ".join(chosen)) for group in parts]
        if not any(stack.layout.repeated for stack in stacks) and (not best or len(stacks) < len(best)):
            best = stacks
    return best or [whole]


def _parts(marks: dict[int, Marks], group: Sequence[int], names: tuple[str, ...]) -> list[list[int]]:
    """Group planes by the values of some marks, in the order of the values."""
    parts: dict[tuple[str, ...], list[int]] = {}
    for index in group:
        parts.setdefault(tuple(marks[index].get(name, "") for name in names), []).append(index)
    return [parts[values] for values in sorted(parts, key=lambda values: [sort_key(value) for value in values])]
