from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import geometry

AXES = st.sampled_from(list(permutations(range(3))))
FLIPS = st.tuples(st.booleans(), st.booleans(), st.booleans())
SHAPES = st.tuples(*[st.integers(1, 6)] * 3)
ANGLES = st.tuples(*[st.floats(-30, 30)] * 3)


def rotation(degrees: tuple[float, float, float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        first, second = [other for other in range(3) if other != axis]
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    return matrix


def affine_of(
    axes: tuple[int, ...], flips: tuple[bool, ...], angles: tuple[float, float, float] = (0, 0, 0)
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    affine = np.eye(4)
    signs = [-1.0 if flip else 1.0 for flip in flips]
    affine[:3, :3] = rotation(angles) @ (np.eye(3)[:, list(axes)] * signs) * np.array([0.8, 1.0, 1.3])
    affine[:3, 3] = (12.5, -40.0, 7.0)
    return affine


@given(axes=AXES, flips=FLIPS, shape=SHAPES)
def test_turning_to_canonical_and_back_gives_the_same_array(
    axes: tuple[int, ...], flips: tuple[bool, ...], shape: tuple[int, int, int]
) -> None:
    array = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    orientation = geometry.canonical_orientation(affine_of(axes, flips))

    back = geometry.from_canonical(geometry.to_canonical(array, orientation), orientation)

    assert np.array_equal(back, array)


@given(axes=AXES, flips=FLIPS, shape=SHAPES, angles=ANGLES)
def test_every_voxel_keeps_its_place_in_the_patient(
    axes: tuple[int, ...], flips: tuple[bool, ...], shape: tuple[int, int, int], angles: tuple[float, float, float]
) -> None:
    affine = affine_of(axes, flips, angles)
    orientation = geometry.canonical_orientation(affine)
    indices = np.moveaxis(np.indices(shape), 0, -1).astype(np.float64)

    points = indices @ affine[:3, :3].T + affine[:3, 3]
    turned = np.stack([geometry.to_canonical(points[..., axis], orientation) for axis in range(3)], axis=-1)

    new_affine = geometry.canonical_affine(affine, shape, orientation)
    new_indices = np.moveaxis(np.indices(turned.shape[:3]), 0, -1).astype(np.float64)
    assert np.allclose(new_indices @ new_affine[:3, :3].T + new_affine[:3, 3], turned, atol=1e-9)


@given(axes=AXES, flips=FLIPS, angles=st.tuples(*[st.floats(-12, 12)] * 3))
def test_the_canonical_axes_run_to_head_posterior_and_left(
    axes: tuple[int, ...], flips: tuple[bool, ...], angles: tuple[float, float, float]
) -> None:
    affine = affine_of(axes, flips, angles)
    shape = (4, 5, 6)

    turned = geometry.canonical_affine(affine, shape, geometry.canonical_orientation(affine))

    unit = geometry.directions(turned)
    assert all(unit[patient, axis] > 0.9 for axis, patient in enumerate((2, 1, 0)))


def test_an_axial_stack_from_the_feet_up_is_canonical_already() -> None:
    affine = np.array([[0, 0, 1, 5], [0, 1, 0, 6], [1, 0, 0, 7], [0, 0, 0, 1.0]])

    orientation = geometry.canonical_orientation(affine)

    assert orientation == geometry.Orientation((0, 1, 2), (False, False, False))


@given(angle=st.floats(0, 40))
def test_the_obliquity_is_the_angle_of_a_single_rotation(angle: float) -> None:
    affine = affine_of((2, 1, 0), (False, False, False), (0, angle, 0))

    assert geometry.obliquity_deg(affine) == pytest.approx(angle, abs=1e-4)


def test_a_tilted_gantry_is_sheared_and_a_rotated_grid_is_not() -> None:
    tilted = affine_of((2, 1, 0), (False, False, False))
    tilted[1, 0] = 0.05

    assert geometry.is_sheared(tilted)
    assert not geometry.is_sheared(affine_of((2, 1, 0), (False, True, False), (10, 20, 5)))


@given(shape=st.tuples(*[st.integers(2, 8)] * 3), target=st.tuples(*[st.integers(2, 8)] * 3))
def test_resampling_keeps_constants_and_the_range_of_values(
    shape: tuple[int, int, int], target: tuple[int, int, int]
) -> None:
    constant = np.full(shape, 3.5, dtype=np.float32)
    noise = np.random.default_rng(0).random(shape).astype(np.float32)

    assert np.allclose(geometry.resample(constant, target), 3.5)
    resampled = geometry.resample(noise, target)
    assert resampled.shape == target
    assert resampled.min() >= noise.min() - 1e-6
    assert resampled.max() <= noise.max() + 1e-6


def test_resampling_follows_a_linear_ramp_inside_the_edges() -> None:
    ramp = np.broadcast_to(np.arange(10, dtype=np.float32), (3, 3, 10))

    doubled = geometry.resample(ramp, (3, 3, 20))

    expected = (np.arange(20) + 0.5) / 2 - 0.5
    assert np.allclose(doubled[0, 0, 1:-1], expected[1:-1], atol=1e-5)


def test_resampling_keeps_leading_axes_and_gives_back_the_same_grid_untouched() -> None:
    array = np.random.default_rng(1).random((2, 3, 4, 5)).astype(np.float32)

    assert geometry.resample(array, (3, 4, 5)) is array
    assert geometry.resample(array, (6, 4, 5)).shape == (2, 6, 4, 5)
