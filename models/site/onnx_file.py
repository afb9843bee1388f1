"""ONNX files, run by onnxruntime on the processor (or on a GPU where its CUDA provider is installed)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.site.archive import inside
from models.site.errors import ModelRefused
from models.site.network import Forward
from models.site.onnx_scan import scan

#: Domains whose operators onnxruntime brings; what else a file uses would be code of somebody's.
DOMAINS = frozenset({"", "ai.onnx.ml", "com.microsoft"})

#: Where a tensor "lies" whose offset onnxruntime takes for a pointer (its core/framework/tensorprotoutils.h).
MEMORY = "_ORT_MEM_ADDR_"

#: Element types of inputs by their name in onnxruntime.
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


def inspect(folder: Path, path: Path) -> None:
    """Refuse custom operators, and tensors that lie outside the model's folder.

    Raises
    ------
    ModelRefused
        With the operator or the place.
    """
    if path.suffix.lower() != ".onnx":  # by its name onnxruntime would read another format, which was not looked at
        raise ModelRefused(f"{path.name} must end in .onnx")
    asked = scan(path)
    for domain, operator in sorted(asked.operators - asked.functions):
        if domain not in DOMAINS:
            raise ModelRefused(f"{path.name} uses the operator {domain}::{operator}, which onnxruntime does not bring")
    for place in sorted(asked.external):
        if MEMORY in place:
            raise ModelRefused(f"{path.name} keeps tensors at an address in memory: save it by the onnx library")
        beside = (path.parent / place).relative_to(folder).as_posix() if _relative(place) else place
        try:
            inside(folder, beside)
        except ModelRefused as error:
            raise ModelRefused(f"{path.name} keeps tensors elsewhere: {error}") from error


def _relative(place: str) -> bool:
    return bool(place) and not place.startswith("/") and ".." not in Path(place).parts


def load(folder: Path, path: Path, device: torch.device) -> Forward:
    """Load an inspected file.

    Raises
    ------
    ModelRefused
        If onnxruntime does not take it, or it has more than one input.
    """
    import onnxruntime as ort

    inspect(folder, path)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    wanted = ["CUDAExecutionProvider"] if device.type == "cuda" else []
    providers = [name for name in [*wanted, "CPUExecutionProvider"] if name in ort.get_available_providers()]
    try:
        session = ort.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # its errors have no common class
        raise ModelRefused(f"onnxruntime {ort.__version__} does not take {path.name}: {_short(error)}") from error
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in TYPES:
        raise ModelRefused(f"{path.name} must have one input of floating point numbers, it has {len(inputs)} inputs")
    name, kind = inputs[0].name, TYPES[inputs[0].type]
    outputs = [item.name for item in session.get_outputs()]

    def forward(tensor: torch.Tensor) -> Any:
        given = np.ascontiguousarray(tensor.detach().cpu().numpy(), dtype=kind)
        try:
            found = session.run(None, {name: given})
        except Exception as error:
            raise ValueError("onnxruntime refused the input") from error
        tensors = [torch.from_numpy(np.asarray(item)) for item in found]
        return dict(zip(outputs, tensors, strict=True)) if _named_boxes(outputs) else _single(tensors)

    return forward


def _named_boxes(outputs: list[str]) -> bool:
    return any(name in {"box", "boxes"} for name in outputs)


def _single(tensors: list[torch.Tensor]) -> Any:
    return tensors[0] if len(tensors) == 1 else tensors


def _short(error: Exception) -> str:
    """The first line of a foreign message, which names nodes of the file, never an input."""
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__
