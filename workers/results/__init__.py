"""Result objects: pure builders from a prediction and its sources to what the hospital gets.

A builder is one file here and one line in :data:`BUILDERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydicom.dataset import Dataset

from workers.results.common import ResultInput
from workers.results.seg import build_seg
from workers.results.sr import build_sr

Builder = Callable[[ResultInput, Mapping[str, Dataset]], Dataset | None]


def _seg(inp: ResultInput, _built: Mapping[str, Dataset]) -> Dataset | None:
    return build_seg(inp) if inp.prediction.labels is not None and inp.prediction.segments else None


def _sr(inp: ResultInput, built: Mapping[str, Dataset]) -> Dataset | None:
    return build_sr(inp, built.get("seg"))


#: Builders by kind, in the order in which they run: each sees what was built before it, and may give None.
BUILDERS: Mapping[str, Builder] = {"seg": _seg, "sr": _sr}


def build_all(inp: ResultInput) -> dict[str, Dataset]:
    """Build every DICOM result of a prediction, by kind; the segmentation is left out where nothing is drawn."""
    built: dict[str, Dataset] = {}
    for kind, builder in BUILDERS.items():
        ds = builder(inp, built)
        if ds is not None:
            built[kind] = ds
    return built
