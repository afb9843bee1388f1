"""TorchScript files: looked at before they are loaded, for loading one can run code of its own.

A TorchScript archive is a zip of source in TorchScript's language and pickled tensors (pytorch's
``torch/csrc/jit/docs/serialization.md``). That language reaches the operators that are registered, no files and no
network but by a few of them; these, and operators that pytorch does not bring, are refused
(:mod:`models.site.torchscript_scan`). pytorch finds members whatever the case of their names, so all are looked at.
"""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import torch

from models.site.archive import DAMAGED, check_members
from models.site.errors import ModelRefused
from models.site.torchscript_scan import check_source

#: Source code of a network is far smaller, and so are the pickles: tensors lie beside them.
MAX_SOURCE = 64 << 20

#: Records at the end of a zip (PKWARE's APPNOTE 4.3.14 to 4.3.16): signature and length.
END, END_BYTES = b"PK\5\6", 22
LOCATOR, LOCATOR_BYTES = b"PK\6\7", 20
END64, END64_BYTES = b"PK\6\6", 56


def inspect(path: Path) -> None:
    """Refuse a file that is no TorchScript, or whose code uses what is not pytorch's own.

    Raises
    ------
    ModelRefused
        With the operator that is not understood.
    """
    try:
        _check_directory(path)
        with zipfile.ZipFile(path) as archive:
            members = check_members(archive, every=True)
            named = [(item, f"/{item.filename}".casefold()) for item in members]
            sources = [item for item, name in named if name.endswith(".py")]
            pickles = [item for item, name in named if name.endswith(".pkl")]
            if not sources or not any(name.endswith("/constants.pkl") for _, name in named):
                raise ModelRefused(f"{path.name} is no TorchScript: save it with torch.jit.script(network).save(...)")
            if sum(item.file_size for item in (*sources, *pickles)) > MAX_SOURCE:
                raise ModelRefused(f"{path.name} holds more than {MAX_SOURCE >> 20} MB of code")
            for item in sources:
                check_source(archive.read(item).decode("utf-8", "replace"), path.name)
            if any(b"torch.classes." in archive.read(item) for item in pickles):
                raise ModelRefused(f"{path.name} holds an object of a class which is not one of pytorch's own")
    except (*DAMAGED, OSError) as error:
        raise ModelRefused(f"{path.name} is no TorchScript: {error}") from error


def _check_directory(path: Path) -> None:
    """Raise :class:`zipfile.BadZipFile` where pytorch could find another list of members than Python does.

    Both go by the last record of the file. pytorch goes to where that says the list is, Python to what lies before it.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        file.seek(max(0, size - END_BYTES))
        tail = file.read()
        if len(tail) < END_BYTES or tail[:4] != END or tail[20:] != b"\0\0":
            raise zipfile.BadZipFile("it does not end as a zip of pytorch does")
        length, start = struct.unpack_from("<2L", tail, 12)
        last = size - END_BYTES
        file.seek(max(0, last - LOCATOR_BYTES))
        locator = file.read(LOCATOR_BYTES)
        if locator[:4] == LOCATOR:
            last -= LOCATOR_BYTES + END64_BYTES
            (place,) = struct.unpack_from("<Q", locator, 8)
            file.seek(max(0, last))
            record = file.read(END64_BYTES)
            if place != last or record[:4] != END64:
                raise zipfile.BadZipFile("its list of members is not where it says")
            length, start = struct.unpack_from("<2Q", record, 40)
        if start + length != last:
            raise zipfile.BadZipFile("its list of members is not where it says")


def load(path: Path, device: torch.device) -> torch.nn.Module:
    """Load an inspected file onto a device, not training."""
    inspect(path)
    try:
        module: torch.nn.Module = torch.jit.load(str(path), map_location=device)  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise ModelRefused(f"{path.name} cannot be loaded by this version of pytorch ({torch.__version__})") from error
    return module.eval()
