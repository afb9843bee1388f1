"""Drawing and measuring one nodule: threshold halfway between lung and nodule, vessels cut off by opening.

The long axis is taken in the axial slice with the largest area, the short axis at right angles to it (RECIST 1.1,
Eisenhauer et al., Eur J Cancer 2009;45:228-247).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.contracts import FloatArray, Volume
from models.imaging.lung.diameters import Diameters, diameters_of
from models.imaging.lung.drawing import draw
from models.imaging.lung.grid import Working
from models.imaging.lung.segmentation import Mask
from models.imaging.lung.window import Window, cut

#: Where between lung and nodule the border lies, and where else it is put to see how much the size hangs on it.
HALFWAY, LOWER, HIGHER = 0.5, 0.35, 0.65

#: A nodule stands out from the lung by at least so much.
LEAST_HU = 100.0

#: What lung is where the window holds none.
LUNG_HU = -850.0

#: Smoothing before faint borders are drawn, in mm (standard deviation).
FAINT_SMOOTHING_MM = 1.1

#: Nothing is drawn farther from the seed than this share of the candidate's diameter and so many mm.
REACH, REACH_MM = 0.8, 3.0

#: Where more than this share of a drawing lies within so many mm of the edge of that reach, it is drawn anew, wider.
CUT_OFF, EDGE_MM = 0.05, 1.5
WIDENED = (1.0, 1.6, 2.56)

#: Nothing is taken for wider than this, in mm.
WIDEST_MM = 42.0

#: A nodule whose core is less dense than this is of ground glass.
SOLID_HU = -350.0

#: Nothing smaller than this, or than so many slices, is called ground glass: blur makes small solid nodules faint.
LEAST_GROUND_GLASS_MM, LEAST_SLICES = 6.0, 1.5

#: Nodules under this are not called part-solid: their halo is the scanner's blur.
LEAST_PART_SOLID_MM = 6.0

#: A halo of a part-solid nodule is at least so much denser than lung, in HU...
HALO_HU = 75.0

#: ...makes the whole at least so much wider than its core...
HALO_WIDER_MM = 2.5

#: ...begins so far from it, and has at least this share of the volume...
HALO_FROM_MM, LEAST_HALO = 1.5, 0.35

#: ...lies around at least this share of it, up to so far away...
SURROUNDED, HALO_TO_MM = 0.75, 3.0

#: ...and is even: half of its voxels lie within this, in HU.
HALO_EVEN_HU = 140.0


class Density(StrEnum):
    """Type of a nodule."""

    SOLID = "solid"
    PART_SOLID = "part-solid"
    NON_SOLID = "ground-glass"


@dataclass(frozen=True, slots=True)
class Size:
    """Long and short axis in mm, volume in ml."""

    long_mm: float
    short_mm: float
    volume_ml: float


@dataclass(frozen=True, eq=False)
class Measured:
    """A nodule that was drawn.

    Parameters
    ----------
    mask
        ``[z, y, x]`` on voxels of the canonical image, from ``start``.
    size
        With the border halfway.
    smallest, largest
        With the border elsewhere.
    long_ends, short_ends
        Ends of the axes, LPS mm.
    mean_hu
        Mean over the mask.
    density
        Its type; None where it is too small, for the slices, to tell ground glass from blur.
    solid_mm
        Mean diameter of the solid component of a part-solid nodule, else 0.
    centre
        Of the mask, LPS mm.
    at_surface
        Whether it reaches the surface of the lung.
    """

    mask: Mask
    start: tuple[int, int, int]
    size: Size
    smallest: Size
    largest: Size
    long_ends: tuple[tuple[float, float, float], ...]
    short_ends: tuple[tuple[float, float, float], ...]
    mean_hu: float
    density: Density | None
    solid_mm: float
    centre: tuple[float, float, float]
    at_surface: bool


@dataclass(frozen=True, eq=False)
class _Border:
    """Thresholds of one nodule: lung, core, and what the border lies between."""

    lung: float
    core: float
    outer: float

    def at(self, share: float) -> float:
        return self.lung + share * (self.outer - self.lung)


def measure(
    volume: Volume, working: Working, lungs: Mask, place: npt.NDArray[np.float64], diameter: float
) -> Measured | None:
    """Draw and measure what lies at ``place`` (LPS mm) and is about ``diameter`` mm wide.

    Returns
    -------
    Measured or None
        None where nothing stands out from the lung there.
    """
    found = None
    for wide in sorted({min(diameter * step, WIDEST_MM) for step in WIDENED}):
        again, cut_off = _measure_within(volume, working, lungs, place, wide)
        found = again or found
        if not cut_off:
            break
    return found


def _measure_within(
    volume: Volume, working: Working, lungs: Mask, place: npt.NDArray[np.float64], diameter: float
) -> tuple[Measured | None, bool]:
    """Measure in the reach of a diameter; tell whether the drawing is cut off by it."""
    reach = REACH * diameter + REACH_MM
    window = _on_peak(cut(volume, working, lungs, place, reach + 5.0), diameter)
    limit = window.ball(reach) & window.room
    lung, core = _levels(window, diameter)
    if core - lung < LEAST_HU:
        return None, False
    faint = _softer(window)
    border, density, inner = _density(window, faint, limit, (lung, core), diameter)
    shown = window if density is Density.SOLID else faint
    whole = draw(shown, limit, border.at(HALFWAY), diameter)
    if whole is None:
        return None, False
    sizes = [_size(window, whole)[0]]
    for share in (LOWER, HIGHER):
        other = draw(shown, limit, border.at(share), diameter)
        sizes.append(_size(window, other)[0] if other is not None else sizes[0])
    cut_off = float((whole & ~window.ball(reach - EDGE_MM)).sum()) > CUT_OFF * float(whole.sum())
    return _measured(window, whole, sizes, density, inner), cut_off


def _on_peak(window: Window, diameter: float) -> Window:
    """Move the seed to the densest place near by, of the image smoothed by a millimetre."""
    smooth = _smooth(window, 1.0)
    near = window.ball(float(np.clip(0.2 * diameter, 1.5, 4.0))) & window.room
    if not near.any():
        return window
    z, y, x = np.unravel_index(int(np.where(near, smooth, -np.inf).argmax()), smooth.shape)
    return replace(window, seed=(int(z), int(y), int(x)))


def _levels(window: Window, diameter: float) -> tuple[float, float]:
    """HU of the lung around and of the nodule's core."""
    around = window.values[window.room & (window.values < -600)]
    lung = float(np.median(around)) if around.size > 50 else LUNG_HU
    inside = window.values[window.ball(max(1.3, 0.3 * diameter / 2)) & window.room]
    return lung, float(np.percentile(inside, 70)) if inside.size else lung


def _softer(window: Window) -> Window:
    """The window, smoothed for faint borders."""
    return replace(window, values=_smooth(window, FAINT_SMOOTHING_MM))


def _smooth(window: Window, millimetres: float) -> FloatArray:
    smooth: FloatArray = ndimage.gaussian_filter(window.values, [millimetres / step for step in window.spacing])
    return smooth


def _density(
    window: Window, faint: Window, limit: Mask, levels: tuple[float, float], diameter: float
) -> tuple[_Border, Density, Mask | None]:
    """Tell the type; a part-solid nodule has a halo around its core, which then is the solid component."""
    lung, core = levels
    plain = _Border(lung, core, core)
    if core < SOLID_HU:
        return plain, Density.NON_SOLID, None
    drawn = draw(window, limit, plain.at(HALFWAY), diameter)
    wide = draw(faint, limit, lung + HALO_HU, diameter)
    if drawn is None or wide is None:
        return plain, Density.SOLID, None
    away = ndimage.distance_transform_edt(~drawn, sampling=window.spacing)
    halo = wide & (away > HALO_FROM_MM)
    if not halo.any() or _surrounded(drawn, wide, limit & (away > HALO_FROM_MM) & (away <= HALO_TO_MM)) < SURROUNDED:
        return plain, Density.SOLID, None
    low, level, high = (float(v) for v in np.percentile(faint.values[halo], (25, 50, 75)))
    inner, outer = _size(window, drawn)[0], _size(window, wide)[0]
    wider = outer.short_mm - inner.short_mm >= HALO_WIDER_MM and outer.long_mm >= LEAST_PART_SOLID_MM
    if wider and level < SOLID_HU and high - low < HALO_EVEN_HU and halo.sum() > LEAST_HALO * wide.sum():
        return _Border(lung, core, level), Density.PART_SOLID, drawn
    return plain, Density.SOLID, None


def _surrounded(drawn: Mask, wide: Mask, shell: Mask) -> float:
    """Share of a shell around a core that is halo, in the planes where the core is large.

    A vessel at a solid nodule, or a thick slice above it, is on one side of it only.
    """
    areas = drawn.sum((1, 2))
    planes = areas >= 0.5 * areas.max()
    around = shell[planes]
    return float(wide[planes][around].mean()) if around.any() else 0.0


def _size(window: Window, mask: Mask) -> tuple[Size, Diameters, int]:
    """Sizes of a mask, its diameters, and the plane of the window in which they were taken."""
    areas = mask.sum((1, 2))
    on_slices = np.zeros_like(areas)
    on_slices[:: window.factors[0]] = areas[:: window.factors[0]]
    plane = int((on_slices if on_slices.any() else areas).argmax())
    found = diameters_of(mask[plane], (window.spacing[1], window.spacing[2]))
    volume = float(mask.sum()) * float(np.prod(window.spacing)) / 1000
    return Size(found.long_mm, found.short_mm, volume), found, plane


def _measured(window: Window, whole: Mask, sizes: list[Size], density: Density, inner: Mask | None) -> Measured:
    _, axes, plane = _size(window, whole)
    solid = _size(window, inner)[0] if inner is not None else None
    drawn = window.on_voxels(whole)
    if not drawn.any():  # it lies between two slices: the nearest one shows it
        factor = window.factors[0]
        shifted = np.zeros_like(whole)
        shifted[min(round(plane / factor), (whole.shape[0] - 1) // factor) * factor] = whole[plane]
        drawn = window.on_voxels(shifted)
    return Measured(
        mask=drawn,
        start=window.start,
        size=sizes[0],
        smallest=_extreme(sizes, min),
        largest=_extreme(sizes, max),
        long_ends=_ends(window, plane, axes.long_ends),
        short_ends=_ends(window, plane, axes.short_ends),
        mean_hu=_mean(window.values, whole),
        density=_told(window, density, sizes[0]),
        solid_mm=(solid.long_mm + solid.short_mm) / 2 if solid else 0.0,
        centre=_patient(window, np.argwhere(whole).mean(0)),
        at_surface=bool((ndimage.binary_dilation(whole, iterations=2) & ~window.room).any()),
    )


def _told(window: Window, density: Density, size: Size) -> Density | None:
    """Leave the type open where a small solid nodule would look like ground glass."""
    least = max(LEAST_GROUND_GLASS_MM, LEAST_SLICES * window.spacing[0] * window.factors[0])
    return None if density is Density.NON_SOLID and size.short_mm < least else density


def _mean(values: FloatArray, mask: Mask) -> float:
    return float(values[mask].mean(dtype=np.float64))


def _extreme(sizes: list[Size], choose: Callable[[Iterable[float]], float]) -> Size:
    return Size(
        choose(size.long_mm for size in sizes),
        choose(size.short_mm for size in sizes),
        choose(size.volume_ml for size in sizes),
    )


def _ends(
    window: Window, plane: int, ends: tuple[tuple[float, float], tuple[float, float]]
) -> tuple[tuple[float, float, float], ...]:
    return tuple(_patient(window, np.array([plane, row, column])) for row, column in ends)


def _patient(window: Window, index: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in window.affine[:3, :3] @ index + window.affine[:3, 3])
    return x, y, z
