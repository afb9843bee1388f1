"""TorchScript files: looked at before they are loaded, for loading one can run code of its own.

A TorchScript archive is a zip of source in TorchScript's language and pickled tensors (pytorch's
``torch/csrc/jit/docs/serialization.md``). That language reaches the operators that are registered, no files and no
network but by a few of them; these, and operators that pytorch does not bring, are refused.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import torch

from models.site.archive import check_members
from models.site.errors import ModelRefused

#: Namespaces of operators that pytorch brings.
NAMESPACES = frozenset({"aten", "prim", "prims", "quantized", "profiler"})

#: Operators that touch files or processes.
FORBIDDEN = re.compile(r"\b(?:from_file|save|load|_load_for_lite|fork|rpc_\w{1,40}|to_backend|import_ir_module)\s?\(")

#: ``ops.namespace.name`` in TorchScript's source, and ``__torch__.torch.classes.namespace.name``.
OPERATOR = re.compile(r"\bops\.([A-Za-z_]\w{0,60})\.(\w{1,80})")
CLASS = re.compile(r"\btorch\.classes\.([A-Za-z_]\w{0,60})")

#: Source code of a network is far smaller.
MAX_SOURCE = 64 << 20


def inspect(path: Path) -> None:
    """Refuse a file that is no TorchScript, or whose code uses what is not pytorch's own.

    Raises
    ------
    ModelRefused
        With the operator that is not understood.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = check_members(archive, every=True)
            sources = [item for item in members if item.filename.endswith(".py") and "/code/" in f"/{item.filename}"]
            if not sources or not any(item.filename.endswith("/constants.pkl") for item in members):
                raise ModelRefused(f"{path.name} is no TorchScript: save it with torch.jit.script(network).save(...)")
            if sum(item.file_size for item in sources) > MAX_SOURCE:
                raise ModelRefused(f"{path.name} holds more than {MAX_SOURCE >> 20} MB of code")
            for item in sources:
                _inspect_source(archive.read(item).decode("utf-8", "replace"), path.name)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise ModelRefused(f"{path.name} is no TorchScript: {error}") from error


def _inspect_source(source: str, name: str) -> None:
    for namespace, operator in OPERATOR.findall(source):
        if namespace not in NAMESPACES:
            raise ModelRefused(f"{name} uses the operator {namespace}::{operator}, which is not one of pytorch's own")
    if found := CLASS.search(source):
        raise ModelRefused(f"{name} uses the class {found[1]}, which is not one of pytorch's own")
    if found := FORBIDDEN.search(source):
        raise ModelRefused(f"{name} uses {found[0].rstrip(' (')!r}, which reaches files or other processes")


def load(path: Path, device: torch.device) -> torch.nn.Module:
    """Load an inspected file onto a device, not training."""
    inspect(path)
    try:
        module: torch.nn.Module = torch.jit.load(str(path), map_location=device)  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise ModelRefused(f"{path.name} cannot be loaded by this version of pytorch ({torch.__version__})") from error
    return module.eval()
