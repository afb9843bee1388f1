"""The form in which a destination's viewers want segmentations, and what follows from it for what refers to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Segmentation = Literal["binary", "fractional", "labelmap"]


@dataclass(frozen=True, slots=True)
class Profile:
    """One form of the results of a prediction; a report refers to the segmentations of its own profile.

    Parameters
    ----------
    segmentation
        Segmentation Type (PS3.3 C.8.20.2): ``"binary"``, ``"fractional"`` (probabilities; where a model gives none, 0
        and 1) or ``"labelmap"`` (Label Map Segmentation Storage).
    empty_frames
        Whether frames without a voxel are kept: viewers that count on a frame for each source image need them.
    split_segments
        Whether each segment gets an object of its own: viewers that show only the first segment need it.
    """

    segmentation: Segmentation = "binary"
    empty_frames: bool = False
    split_segments: bool = False

    @property
    def key(self) -> str:
        """Short name for records and UIDs; empty for the default profile."""
        words: list[str] = [] if self.segmentation == "binary" else [self.segmentation]
        words += ["empty"] if self.empty_frames else []
        words += ["split"] if self.split_segments else []
        return "+".join(words)


DEFAULT = Profile()
