"""Generated chest radiographs, and a data set of them: bright body, dark lungs, and a bright patch where it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from models.contracts import FloatArray, Radiograph, Record


def chest(side: int = 280, *, patch: bool = False, seed: int = 0) -> FloatArray:
    """``[side, side]`` of 0 to 1."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side * 28
    shift_y, shift_x = rng.normal(0, 0.7, 2)
    picture = 0.6 + 0.01 * (y - 14)
    for centre in (8.0, 20.0):
        lung = ((x - centre - shift_x) / 4.5) ** 2 + ((y - 14 - shift_y) / 9) ** 2
        picture -= 0.35 * np.clip(1.2 - lung, 0, 1)
    if patch:
        picture += 0.4 * np.exp(-(((x - 8 - shift_x) / 3) ** 2 + ((y - 18 - shift_y) / 3) ** 2))
    found: FloatArray = np.clip(picture + rng.normal(0, 0.03, picture.shape), 0, 1).astype(np.float32)
    return found


def radiograph(array: FloatArray | None = None, *, age: float | None = 3.0, view: str = "AP") -> Radiograph:
    return Radiograph(chest() if array is None else array, "CR", view=view, record=Record(age_years=age))


def write_pneumonia_set(folder: Path, train: int = 40, held_out: int = 12) -> None:
    """Write a file as PneumoniaMNIST's: every other picture has a patch."""
    arrays: dict[str, Any] = {}
    for part, count, seed in (("train", train, 0), ("val", held_out, 1000)):
        pictures = [chest(28, patch=bool(i % 2), seed=seed + i) for i in range(count)]
        arrays[f"{part}_images"] = np.round(np.stack(pictures) * 255).astype(np.uint8)
        arrays[f"{part}_labels"] = (np.arange(count) % 2).astype(np.uint8)[:, None]
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "pneumoniamnist_train_val.npz", **arrays)


def write_hannover_set(folder: Path, patients: int = 20) -> None:
    """Write a folder as the COVID-19 Image Repository's: every other patient, with a patch and a high CRP, is severe.

    Each patient has a picture on the day of the admission; severe ones have another one, after intensive care.
    """
    rows = ["patient_id,image_id,admission_offset,icu_admission_offset,icu_release_offset,death_offset,projection,"
            "crp_offset,crp_val,ldh_offset,ldh_val,d-dimer_offset,d-dimer_val,lymphocytes_offset,lymphocytes_val,"
            "neutrophils_offset,neutrophils_val"]  # fmt: skip
    (folder / "png").mkdir(parents=True)
    for number in range(patients):
        severe = number % 2 == 1
        crp = "" if number % 5 == 0 else f"{(150 if severe else 20) + number}"
        care, view = ("2.0,5.0", "ap") if severe else (",", "pa")
        rows.append(f"p{number:02d},a{number:02d},0,{care},,{view},0.0,{crp},3.0,900,,,0.0,1.1,0.0,inf")
        names = [f"a{number:02d}"]
        if severe:
            rows.append(f"p{number:02d},b{number:02d},-9,-7.0,-4.0,,ap,0.0,5,,,,,,,,")
            names.append(f"b{number:02d}")
        for name in names:
            grey = np.round(chest(64, patch=severe, seed=number) * 255).astype(np.uint8)
            Image.fromarray(grey).save(folder / "png" / f"{name}.png")
    (folder / "data.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
