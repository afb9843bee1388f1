"""Whether a volume is what a model asks for; declined with a sentence that a person understands."""

from __future__ import annotations

import numpy as np

from models import geometry
from models.checks import check_body_part, check_modality
from models.contracts import InputDeclined, InputRequirements, Volume

#: Millimetres by which rounding of positions may put a spacing or an extent over its limit.
ROUNDING_MM = 0.01


def check_requirements(volume: Volume, requirements: InputRequirements) -> None:
    """Raise :class:`InputDeclined` unless ``volume`` meets ``requirements`` and can be computed with.

    Checked in this order: modality, body part, three axes that match the geometry, slices, a right-angled grid (unless
    leaning stacks are accepted), spacing, extent, finite values, contrast.
    """
    check_modality(volume.modality, requirements)
    check_body_part(volume.attributes, requirements)
    _check_grid(volume, requirements)
    _check_size(volume, requirements)
    _check_values(volume)


def _check_grid(volume: Volume, requirements: InputRequirements) -> None:
    if volume.array.ndim != 3 or volume.array.shape != tuple(volume.geometry.shape):
        raise InputDeclined("The image is not one stack of slices of the same size.")
    if volume.array.shape[0] < requirements.min_slices:
        raise InputDeclined(
            f"The stack has {volume.array.shape[0]} slices; this model needs at least {requirements.min_slices}."
        )
    affine = volume.geometry.affine
    if not np.isfinite(affine).all() or volume.geometry.voxel_ml <= 0:
        raise InputDeclined("The position of the slices in the patient is not usable.")
    if requirements.tilt != "accept" and geometry.is_sheared(affine):
        raise InputDeclined(
            "The slices are tilted against the stack (gantry tilt); this model needs a right-angled grid."
        )


def _check_size(volume: Volume, requirements: InputRequirements) -> None:
    low, high = requirements.spacing_mm
    spacing = volume.geometry.spacing
    if min(spacing) < low - ROUNDING_MM or max(spacing) > high + ROUNDING_MM:
        found = " x ".join(f"{step:.2f}" for step in spacing)
        raise InputDeclined(f"The voxels measure {found} mm; this model needs {low:g} to {high:g} mm along every axis.")
    low, high = requirements.extent_mm
    extent = geometry.extent_mm(volume.geometry.affine, volume.geometry.shape)
    found = " x ".join(f"{length:.0f}" for length in extent)
    if max(extent) > high + ROUNDING_MM:
        raise InputDeclined(
            f"The field of view is {found} mm; this model needs a localised field of view or a crop of {low:g} to "
            f"{high:g} mm along every axis, not a larger region. {requirements.description}".strip()
        )
    if min(extent) < low - ROUNDING_MM:
        raise InputDeclined(f"The field of view is {found} mm; this model needs at least {low:g} mm along every axis.")


def _check_values(volume: Volume) -> None:
    if not np.isfinite(volume.array).all():
        raise InputDeclined("The image holds values that are not numbers.")
    if float(volume.array.max()) == float(volume.array.min()):
        raise InputDeclined("The image has the same value everywhere.")
