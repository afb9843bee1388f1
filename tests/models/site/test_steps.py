"""Steps mean what MONAI's transforms of the same purpose mean, and can be undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.meta_tensor import MetaTensor
from monai.transforms.croppad.array import (
    CenterSpatialCrop,
    CropForeground,
    DivisiblePad,
    ResizeWithPadOrCrop,
    SpatialPad,
)
from monai.transforms.intensity.array import (
    NormalizeIntensity,
    ScaleIntensity,
    ScaleIntensityRange,
    ScaleIntensityRangePercentiles,
)
from monai.transforms.spatial.array import Orientation, Resize, Spacing

from models.contracts import Volume
from models.site import step_grids, step_values, steps
from models.site.nifti import REVERSE, TURN
from models.site.working import Working, back, labels_back, of_radiograph, of_volume
from tests.models.site.makers import bright_box, oblique, radiograph, slanted


def volume(seed: int = 0) -> Volume:
    geometry = slanted()
    array = np.random.default_rng(seed).normal(100, 40, geometry.shape).astype(np.float32)
    return Volume(array, geometry, "CT")


def as_monai(source: Volume) -> MetaTensor:
    affine = TURN @ source.geometry.affine @ REVERSE
    return MetaTensor(torch.from_numpy(source.array.transpose(2, 1, 0)[None].copy()), affine=torch.from_numpy(affine))


def world(image: Working) -> npt.NDArray[np.float64]:
    """RAS affine of a prepared image, as MONAI's tensors carry it."""
    affine = np.eye(4)
    affine[:3, :3] = image.directions
    affine[:3, 3] = image.points(np.zeros((1, 3)))[0]
    return TURN @ affine


ALIKE: list[tuple[str, Any, Callable[..., Any]]] = [
    ("orientation RAS", step_grids.Orient(axes="RAS"), Orientation(axcodes="RAS")),
    ("orientation PLI", step_grids.Orient(axes="PLI"), Orientation(axcodes="PLI")),
    ("spacing", step_grids.Spacing(mm=(1.5, 0.8, 2.0)), Spacing(pixdim=(1.5, 0.8, 2.0), mode="bilinear")),
    ("spacing, nearest", step_grids.Spacing(mm=(1.5, 0.8, 2.0), nearest=True),
     Spacing(pixdim=(1.5, 0.8, 2.0), mode="nearest")),
    ("resize", step_grids.Resize(size=(17, 40, 9)), Resize((17, 40, 9), mode="trilinear")),
    ("resize by area", step_grids.Resize(size=(14, 12, 10), mode="area"), Resize((14, 12, 10), mode="area")),
    ("crop", step_grids.Fit(size=(11, 13, 7), pad=False), CenterSpatialCrop((11, 13, 7))),
    ("pad", step_grids.Fit(size=(33, 40, 27), crop=False), SpatialPad((33, 40, 27))),
    ("crop and pad", step_grids.Fit(size=(33, 11, 21)), ResizeWithPadOrCrop((33, 11, 21))),
    ("pad to multiples", step_grids.PadMultiple(of=16), DivisiblePad(16)),
    ("foreground", step_grids.CropForeground(margin=2), CropForeground(margin=2, allow_smaller=True)),
    ("range", step_values.ScaleRange.model_validate({"from": (-57, 164), "to": (0, 1), "clip": True}),
     ScaleIntensityRange(-57, 164, 0, 1, clip=True)),
    ("least and greatest", step_values.MinMax(to=(-1, 1)), ScaleIntensity(-1.0, 1.0)),
    ("percentiles", step_values.Percentiles(low=1, high=97, to=(0, 2)),
     ScaleIntensityRangePercentiles(1, 97, 0, 2, clip=True)),
    ("mean and deviation", step_values.ZScore(), NormalizeIntensity()),
    ("mean and deviation of what is not 0", step_values.ZScore(nonzero=True), NormalizeIntensity(nonzero=True)),
    ("given mean and deviation", step_values.ZScore(mean=(3.0,), deviation=(2.0,)),
     NormalizeIntensity(np.array([3.0]), np.array([2.0]))),
]  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs"), [(a, b) for _, a, b in ALIKE], ids=[name for name, _, _ in ALIKE])
def test_a_step_gives_what_monais_transform_gives_at_the_same_place(ours: Any, theirs: Callable[..., Any]) -> None:
    source = volume()
    # Nothing outside a block, so that there is a foreground and something that is not 0.
    kept = np.zeros_like(source.array)
    kept[4:15, 3:17, 6:25] = np.abs(source.array[4:15, 3:17, 6:25])
    source = Volume(kept, source.geometry, "CT")

    image = ours(of_volume(source))
    wanted = theirs(as_monai(source))

    assert image.array.shape == tuple(wanted.shape)
    np.testing.assert_allclose(image.array, wanted.numpy(), atol=2e-3, rtol=1e-4)
    if ours.step not in {"resize"}:
        np.testing.assert_allclose(world(image), wanted.affine.numpy(), atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), axes=st.sampled_from(["RAS", "LPS", "SPL", "AIR", "PRS"]))
def test_turning_cropping_and_padding_are_undone_exactly(seed: int, axes: str) -> None:
    source = Volume(
        np.random.default_rng(seed).normal(size=(9, 12, 7)).astype(np.float32), oblique((9, 12, 7), seed), "CT"
    )
    image = steps.prepare(
        of_volume(source),
        (step_grids.Orient(axes=axes), step_grids.Fit(size=(14, 16, 15)), step_grids.PadMultiple(of=8)),
    )

    assert np.array_equal(back(image.array[0], image), source.array)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_labels_come_back_to_their_place_through_turning_and_resampling(seed: int) -> None:
    geometry = oblique((22, 30, 26), seed, (2.0, 1.2, 1.0))
    source, inside = bright_box(geometry)
    image = steps.prepare(
        of_volume(source),
        (step_grids.Orient(axes="RAS"), step_grids.Spacing(mm=(0.9, 0.9, 0.9)), step_grids.PadMultiple(of=16)),
    )
    bright = image.array[0] > 350

    smooth = back(bright.astype(np.float32), image) > 0.5
    nearest = labels_back(bright.astype(np.uint8), image) > 0

    for found in (smooth, nearest):
        assert 2 * (found & inside).sum() / (found.sum() + inside.sum()) > 0.95


def test_what_a_crop_leaves_out_is_background() -> None:
    source, _ = bright_box(slanted())
    image = steps.prepare(of_volume(source), (step_grids.Orient(axes="RAS"), step_grids.Fit(size=(8, 8, 8))))

    found = back(np.full(image.size, 5.0, dtype=np.float32), image, outside=-1.0)

    assert (found == 5.0).sum() == 8**3
    assert (found == -1.0).sum() == found.size - 8**3


def test_a_radiograph_keeps_its_rows_unless_columns_are_to_come_first() -> None:
    source = radiograph((30, 20))

    assert of_radiograph(source, columns_first=False).size == (30, 20)
    turned = of_radiograph(source, columns_first=True)
    assert turned.size == (20, 30)
    assert np.array_equal(back(turned.array[0], turned), source.array)


def test_a_square_is_cut_out_of_the_middle() -> None:
    image = step_grids.CropSquare()(of_radiograph(radiograph((30, 20)), columns_first=False))

    assert np.array_equal(image.array[0], radiograph((30, 20)).array[5:25])


@pytest.mark.parametrize("axes", ["RRS", "RLS", "ABC", "RA"])
def test_an_orientation_that_is_none_is_refused(axes: str) -> None:
    with pytest.raises(ValueError):
        step_grids.Orient(axes=axes)


def test_an_image_that_no_machine_holds_is_refused_before_it_is_made() -> None:
    with pytest.raises(ValueError, match="too large"):
        step_grids.Fit(size=(4096, 4096, 4096))(of_volume(volume()))
