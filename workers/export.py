"""One CT series as an ``.npz`` file, for trainings that read no DICOM: ``python -m workers.export SERIES OUT.npz``.

The file holds ``array`` (int16 HU, ``[slice, row, column]``), ``affine`` (4x4, index to LPS mm), ``boxes`` (``[n, 5]``:
slice, first row, first column, last row, last column). It holds no header: nothing that names a patient but the image.

Boxes come from files in the Pascal VOC layout, one per image, named after its SOP Instance UID, as the collection
Lung-PET-CT-Dx (TCIA, doi:10.7937/TCIA.2020.NNC2-0461) has them.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.contracts import InputRequirements
from workers.errors import SeriesRefused
from workers.reading.volume.load import LoadedSeries, read_series

#: Larger annotation files are no boxes of one image.
MOST_BYTES = 100_000

#: One box of a Pascal VOC file; its numbers are pixels, counted from one corner.
_BOX = re.compile(r"<bndbox>\s{0,80}((?:<(?:x|y)(?:min|max)>[0-9.]{1,9}</(?:x|y)(?:min|max)>\s{0,80}){4})</bndbox>")
_EDGE = re.compile(r"<([xy]m(?:in|ax))>([0-9.]{1,9})<")

NEEDS = InputRequirements(modalities=("CT",), scouts="leave_out")


def export(series: Sequence[Path], out: Path, boxes: Path | None = None) -> tuple[int, int]:
    """Write the file of one series.

    Parameters
    ----------
    series
        Its DICOM files.
    out
        The file to write.
    boxes
        Folder that is searched, at any depth, for ``<SOP Instance UID>.xml``; None writes no box.

    Returns
    -------
    tuple
        Number of slices and of boxes.

    Raises
    ------
    workers.errors.SeriesRefused
        If the files are not one regular CT series.
    """
    loaded = read_series(series, NEEDS)
    found = _boxes(loaded, boxes) if boxes is not None else np.empty((0, 5), np.int64)
    volume = loaded.volume
    values = np.clip(np.rint(volume.array), -32768, 32767).astype(np.int16)
    np.savez_compressed(out, array=values, affine=volume.geometry.affine, boxes=found)
    return values.shape[0], len(found)


def _boxes(loaded: LoadedSeries, folder: Path) -> npt.NDArray[np.int64]:
    files = {path.stem: path for path in folder.rglob("*.xml")}
    rows = []
    for number, header in enumerate(loaded.sources):
        path = files.get(str(header.SOPInstanceUID))
        if path is not None and path.stat().st_size <= MOST_BYTES:
            rows += [(number, *box) for box in boxes_in(path.read_text(encoding="utf-8", errors="replace"))]
    return np.array(rows, dtype=np.int64).reshape(-1, 5)


def boxes_in(text: str) -> Iterator[tuple[int, int, int, int]]:
    """Boxes of a Pascal VOC file: first row, first column, last row, last column; what is incomplete is left out."""
    for part in _BOX.finditer(text[:MOST_BYTES]):
        edges = dict(_EDGE.findall(part.group(1)))
        try:
            top, left, bottom, right = (int(float(edges[name])) for name in ("ymin", "xmin", "ymax", "xmax"))
        except (KeyError, ValueError):
            continue
        if top <= bottom and left <= right:
            yield top, left, bottom, right


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 1 where the series is refused."""
    parser = argparse.ArgumentParser(prog="python -m workers.export", description="Write a CT series as an .npz file.")
    parser.add_argument("series", type=Path, help="folder of the series' DICOM files, searched at any depth")
    parser.add_argument("out", type=Path, help="the .npz file to write")
    parser.add_argument("--boxes", type=Path, help="folder of Pascal VOC files named after SOP Instance UIDs")
    given = parser.parse_args(arguments)
    try:
        slices, boxes = export(sorted(given.series.rglob("*.dcm")), given.out, given.boxes)
    except SeriesRefused as error:
        sys.stderr.write(f"not written: {error}\n")
        return 1
    sys.stdout.write(f"{given.out}: {slices} slices, {boxes} boxes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
