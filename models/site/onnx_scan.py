"""What an ONNX file asks for, read without running it and without the library: a walk over its protocol buffers.

The fields are those of ``onnx.proto`` (onnx 1.23): a model's graph and functions, a graph's nodes and tensors, a node's
operator, domain and attributes (which may hold graphs), a tensor's external data.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from models.site.errors import ModelRefused

#: Fields by message: number of the field, and the message that it holds.
MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function", 8: "opset", 20: "training"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute", 9: "opset"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
    "opset": {},
    "entry": {},
}

#: Fields that are read as text: name or operator, domain, key and value.
TEXTS: dict[str, tuple[int, ...]] = {"node": (4, 7), "function": (1, 10), "entry": (1, 2)}
MAX_TEXT = 4096

#: Graphs within graphs within graphs.
MAX_DEPTH = 64

#: Messages of one file; networks of a thousand layers have some ten thousand.
MAX_MESSAGES = 2_000_000


@dataclass(slots=True)
class Asked:
    """What a file asks for.

    Parameters
    ----------
    operators
        ``(domain, operator)``; the domain of ONNX itself is "".
    functions
        The same, of the functions that the file defines itself.
    external
        Where tensors lie that are not in the file, as it names them.
    """

    operators: set[tuple[str, str]] = field(default_factory=set)
    functions: set[tuple[str, str]] = field(default_factory=set)
    external: set[str] = field(default_factory=set)


def scan(path: Path) -> Asked:
    """Read what a file asks for.

    Raises
    ------
    ModelRefused
        If it is no ONNX.
    """
    asked = Asked()
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as view,
        ):
            _scan(view, asked)
    except (ValueError, OSError, IndexError) as error:
        raise ModelRefused(f"{path.name} is no ONNX: {error}") from error
    if not asked.operators:
        raise ModelRefused(f"{path.name} is no ONNX: it holds no operator")
    return asked


def _scan(view: memoryview, asked: Asked) -> None:
    """Walk all messages with a stack of our own."""
    waiting: list[tuple[str, int, int, int]] = [("model", 0, len(view), 0)]
    seen = 0
    while waiting:
        kind, first, last, depth = waiting.pop()
        seen += 1
        if depth > MAX_DEPTH or seen > MAX_MESSAGES:
            raise ValueError("it is nested too deeply, or has too many parts")
        texts: dict[int, str] = {}
        for number, start, end in _fields(view, first, last):
            inner = MESSAGES[kind].get(number)
            if inner is not None:
                waiting.append((inner, start, end, depth + 1))
            elif number in TEXTS.get(kind, ()):
                if end - start > MAX_TEXT:
                    raise ValueError("a name is too long")
                texts[number] = bytes(view[start:end]).decode("utf-8", "replace")  # of several, the last counts
        _noted(kind, texts, asked)


def _noted(kind: str, texts: dict[int, str], asked: Asked) -> None:
    if kind == "node":
        asked.operators.add((_domain(texts.get(7, "")), texts.get(4, "")))
    elif kind == "function":
        asked.functions.add((_domain(texts.get(10, "")), texts.get(1, "")))
    elif kind == "entry" and texts.get(1) == "location":
        asked.external.add(texts.get(2, ""))


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _fields(view: memoryview, at: int, last: int) -> Iterator[tuple[int, int, int]]:
    """Give number, start and end of each length-delimited field (protobuf encoding, wire types 0, 1, 2, 5)."""
    while at < last:
        key, at = _varint(view, at, last)
        number, wire = key >> 3, key & 7
        if wire == 0:
            _, at = _varint(view, at, last)
        elif wire == 2:
            length, at = _varint(view, at, last)
            if length > last - at:
                raise ValueError("a field is longer than its message")
            yield number, at, at + length
            at += length
        elif wire in {1, 5}:
            at += 8 if wire == 1 else 4
        else:
            raise ValueError("a field is of an unknown type")
        if at > last:
            raise ValueError("a field is longer than its message")


def _varint(view: memoryview, at: int, last: int) -> tuple[int, int]:
    value = shift = 0
    while at < last and shift < 70:
        byte = view[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("a number does not end")
