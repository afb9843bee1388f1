"""Requests and answers between two processes: arrays through shared memory, the rest as a restricted pickle.

The memory has no name (``memfd_create``), so that nothing is left behind by a process that is killed. Both are pickled
with protocol 5, which keeps arrays out of the stream (PEP 574); the reader maps them privately: nothing is copied until
it is written to, and what a model writes into its input stays its own.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from types import MappingProxyType
from typing import Any

ALIGNMENT = 64
"""Arrays begin at multiples of this, as vector instructions like it."""

HEADER = struct.Struct("<QI")
SIZE = struct.Struct("<Q")

MOST_BUFFERS = 1 << 16

CLASSES_OF = ("models.contracts", "models.running.answers", "models.running.child")
"""Modules whose own classes may be made from a stream."""

FUNCTIONS: Mapping[tuple[str, str], str] = {
    ("numpy._core.numeric", "_frombuffer"): "arrays",
    ("numpy._core.multiarray", "_reconstruct"): "arrays",
    ("numpy._core.multiarray", "scalar"): "single numbers",
    ("numpy.core.numeric", "_frombuffer"): "arrays, before numpy 2",
    ("numpy.core.multiarray", "_reconstruct"): "arrays, before numpy 2",
    ("numpy.core.multiarray", "scalar"): "single numbers, before numpy 2",
    ("numpy", "ndarray"): "arrays",
    ("numpy", "dtype"): "their types",
    ("models.running.transport", "fixed"): "mappings that cannot change",
    ("builtins", "frozenset"): "sets",
}
"""What else a stream may call, and what for."""


class BadMessage(Exception):
    """The other side sent something that is not a message of ours."""


def fixed(items: dict[str, Any]) -> Mapping[str, Any]:
    """Make a mapping that cannot change; its own type has no name that a stream could say."""
    return MappingProxyType(items)


class _Writer(pickle.Pickler):
    """Writes mappings that cannot change, which pickle by itself does not, and of a subclass what the contract has."""

    def reducer_override(self, item: Any) -> Any:
        if isinstance(item, MappingProxyType):
            return fixed, (dict(item),)
        contract = _contract_of(type(item))
        if contract is None:
            return NotImplemented
        return contract, tuple(getattr(item, field.name) for field in fields(contract))


def _contract_of(kind: type) -> type | None:
    """Return the class of the contracts that a dataclass of another room extends; None where it extends none."""
    if not is_dataclass(kind) or _ours(kind.__module__):
        return None
    return next((base for base in kind.__mro__ if is_dataclass(base) and _ours(base.__module__)), None)


def _ours(module: str) -> bool:
    return any(module == root or module.startswith(f"{root}.") for root in CLASSES_OF)


class _Reader(pickle.Unpickler):
    """Makes nothing but the classes of the contracts and what these hold."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in FUNCTIONS:
            return super().find_class(module, name)
        if "." not in name and _ours(module):
            found = super().find_class(module, name)
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise BadMessage(f"a message names {module}.{name}, which it must not")


def send(connection: Connection, item: object, peer: int) -> None:
    """Send an object to the process ``peer`` at the other end of a connection.

    Raises
    ------
    OSError
        If the other end is gone.
    """
    stream, buffers = io.BytesIO(), list[pickle.PickleBuffer]()
    _Writer(stream, protocol=5, buffer_callback=buffers.append).dump(item)
    parts = [stream.getbuffer(), *(buffer.raw() for buffer in buffers)]
    descriptor = _memory()
    try:
        with open(descriptor, "wb", closefd=False, buffering=0) as file:
            at = 0
            for part in parts:
                at = _write(file, at, part)
            file.truncate(at)
        sizes = [part.nbytes for part in parts]
        connection.send_bytes(HEADER.pack(at, len(sizes)) + b"".join(map(SIZE.pack, sizes)))
        send_handle(connection, descriptor, peer)
    finally:
        os.close(descriptor)


def receive(connection: Connection) -> Any:
    """Wait for an object from the other end.

    Raises
    ------
    EOFError, OSError
        If the other end is gone.
    BadMessage
        If it is not what :func:`send` sends.
    """
    said = connection.recv_bytes(HEADER.size + MOST_BUFFERS * SIZE.size)
    descriptor = recv_handle(connection)
    try:
        total, sizes = _layout(said, os.fstat(descriptor).st_size)
        mapped = memoryview(mmap.mmap(descriptor, total, access=mmap.ACCESS_COPY))
    finally:
        os.close(descriptor)
    parts, at = [], 0
    for size in sizes:
        parts.append(mapped[at : at + size])
        at = _aligned(at + size)
    try:
        return _Reader(io.BytesIO(parts[0]), buffers=parts[1:]).load()
    except BadMessage:
        raise
    except Exception as exc:
        raise BadMessage("a message does not read") from exc


def _layout(said: bytes, held: int) -> tuple[int, list[int]]:
    """Return the length of the memory and of each part in it."""
    try:
        total, count = HEADER.unpack_from(said)
        sizes = [SIZE.unpack_from(said, HEADER.size + n * SIZE.size)[0] for n in range(min(count, MOST_BUFFERS))]
    except struct.error as exc:
        raise BadMessage("a message is cut short") from exc
    if not sizes or not 0 < total <= held or sum(map(_aligned, sizes)) != total:
        raise BadMessage("a message and its memory are not of one length")
    return total, sizes


def _write(file: io.FileIO, at: int, part: memoryview) -> int:
    """Write one part where ``at`` says; returns where the next begins."""
    file.seek(at)
    left = part
    while left.nbytes:
        left = left[file.write(left) :]
    return _aligned(at + part.nbytes)


def _aligned(length: int) -> int:
    return -(-length // ALIGNMENT) * ALIGNMENT


def _memory() -> int:
    """Return the descriptor of memory without a name, or of a file without one where the system has no such memory."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("overread", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
