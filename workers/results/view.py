"""What the web page shows of a result beside the records: pictures as PNG, and numbers as JSON.

The page's room knows no model. It reads these files, which lie beside the prediction: ``.view.json``, ``.image.png``
and ``.over-<n>.png``, overlays of the image's size that are clear where nothing is. No file names the patient.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.contracts import Contribution, Prediction, Radiograph, Waveform
from workers.results.common import ResultInput
from workers.results.pictures import heat, trace
from workers.results.pictures.drawing import Frame, border
from workers.results.wording import operating_point

#: Of the form; the page ignores a later one.
FORMAT = 1

#: Side of the image in pixels, most overlays, and most values of the record.
SIDE, OVERLAYS, VALUES = 900, 3, 60


@dataclasses.dataclass(frozen=True, eq=False)
class Overlay:
    """A layer over an image: what it shows, and ``[row, column, 4]`` pixels of the image's size."""

    name: str
    pixels: npt.NDArray[np.uint8]


def files(inp: ResultInput) -> dict[str, bytes]:
    """Give the files of a result by what is appended to its prediction's name; empty where there is nothing to show."""
    image, overlays = _pictures(inp)
    prediction = inp.prediction
    if image is None and not prediction.contributions and not prediction.scores:
        return {}
    said = {
        "format": FORMAT,
        "kind": inp.kind.value,
        "image": None if image is None else {"width": image.width, "height": image.height, "text": _text(inp)},
        "overlays": [item.name for item in overlays],
        "threshold": operating_point(prediction, inp.card),
        "scores": {name: value for name, value in prediction.scores.items() if math.isfinite(value)},
        "contributions": [_contribution(item) for item in prediction.contributions[:VALUES]],
    }
    made = {".view.json": json.dumps(said).encode()}
    if image is not None:
        made[".image.png"] = _png(image)
    for number, item in enumerate(overlays):
        made[f".over-{number}.png"] = _png(Image.fromarray(item.pixels))
    return made


def _pictures(inp: ResultInput) -> tuple[Image.Image | None, list[Overlay]]:
    if isinstance(inp.seen, Radiograph):
        frame = Frame.of(heat.geometry(inp.seen), SIDE)
        size = (frame.width, frame.height)
        image = Image.fromarray(heat.grey(inp.seen.array)).resize(size, Image.Resampling.BICUBIC)
        return image, list(_overlays(inp.prediction, size))[:OVERLAYS]
    if isinstance(inp.seen, Waveform):
        return Image.fromarray(trace.waveform(inp.seen, inp.prediction)), []
    return None, []


def _overlays(prediction: Prediction, size: tuple[int, int]) -> Iterator[Overlay]:
    for item in heat.of_maps(prediction):
        coloured = Image.fromarray(heat.heat(item.array[0])).resize(size, Image.Resampling.BILINEAR)
        yield Overlay(item.name, np.asarray(coloured))
    if prediction.labels is not None and prediction.segments:
        layer = Image.new("RGBA", size)
        for spec in prediction.segments:
            mask = Image.fromarray((prediction.labels[0] == spec.label).astype(np.uint8) * 255)
            area = mask.resize(size, Image.Resampling.NEAREST)
            if area.getbbox() is not None:
                layer.paste((*spec.rgb, 255), None, border(area))
        yield Overlay("Outlines: " + ", ".join(spec.name for spec in prediction.segments), np.asarray(layer))


def _text(inp: ResultInput) -> str:
    """What a person who does not see the picture is told of it."""
    if isinstance(inp.seen, Waveform):
        shaded = ", shaded where the model looked" if inp.prediction.traces else ""
        return f"Waveform of {len(inp.seen.channels)} channels, {inp.seen.seconds:.0f} s{shaded}"
    view = inp.seen.view if isinstance(inp.seen, Radiograph) else ""
    return f"Radiograph{f', {view} view' if view else ''}"


def _contribution(item: Contribution) -> dict[str, Any]:
    plain = dataclasses.asdict(item)
    for name in ("weight", "value"):
        if plain[name] is not None and not math.isfinite(plain[name]):
            plain[name] = None
    return plain


def _png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
