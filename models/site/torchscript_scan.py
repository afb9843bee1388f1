"""What the code in a TorchScript file asks for, read token by token without compiling it.

The language is a part of Python's (``frontend/lexer.cpp`` and ``serialization/import_source.cpp`` of pytorch's
``torch/csrc/jit``): operators are reached as ``torch.name`` or ``ops.namespace.name``, may be kept in variables, and
attributes may be asked for by ``getattr``. So what counts is a name anywhere, not a call that looks like one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from models.site.errors import ModelRefused

#: Namespaces of operators that pytorch brings.
NAMESPACES = frozenset({"aten", "prim", "prims", "quantized", "profiler"})

#: Names that reach files, other processes or the terminal (a printed tensor is a patient's image in a log). A test
#: compares this list with the operators of pytorch that take the name of a file.
FORBIDDEN = frozenset(
    {"from_file", "save", "fork", "rpc_async", "rpc_sync", "rpc_remote", "print", "_print", "to_backend",
     "import_ir_module", "_load_for_lite_interpreter"}
)  # fmt: skip

#: Text in three quotes comes first: pytorch's printer never writes it.
TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)|(?P<long>\"\"\"|''')|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
    r"""|(?P<name>[A-Za-z_]\w*)|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<other>.)""",
    re.DOTALL | re.ASCII,
)
PLAIN_TEXT = re.compile(r"""["']\w{1,200}["']""", re.ASCII)

Token = tuple[str, str]


def check_source(source: str, name: str) -> None:
    """Refuse source that uses what is not pytorch's own, or what reaches out of the network.

    Raises
    ------
    ModelRefused
        With the operator or the class.
    """
    tokens = list(_tokens(source, name))
    for place, (kind, text) in enumerate(tokens):
        if kind != "name":
            continue
        if text in FORBIDDEN:
            raise _reaches(name, text)
        before = [item for _, item in tokens[max(0, place - 2) : place]]
        if text == "ops" and before[-1:] != ["."]:
            _check_operator([item for _, item in tokens[place + 1 : place + 5]], name)
        elif text == "classes" and before == ["torch", "."]:
            found = next((item for _, item in tokens[place + 2 : place + 3]), "")
            raise ModelRefused(f"{name} uses the class {found[:80]}, which is not one of pytorch's own")
    _check_attributes(tokens, name)


def _tokens(source: str, name: str) -> Iterator[Token]:
    for found in TOKEN.finditer(source):
        kind = str(found.lastgroup)
        text = found[0]
        if kind == "long" or (kind == "other" and text in {'"', "'"}):
            raise ModelRefused(f"{name} holds code that pytorch did not write: save it with torch.jit.save")
        if kind != "space":
            yield kind, text


def _check_operator(after: list[str], name: str) -> None:
    """``ops.namespace.name`` in full; kept in a variable, its namespace could not be seen."""
    if len(after) < 4 or after[0] != "." or after[2] != ".":
        raise ModelRefused(f"{name} holds code that pytorch did not write: 'ops' without the name of an operator")
    if after[1] not in NAMESPACES:
        operator = f"{after[1][:80]}::{after[3][:80]}"
        raise ModelRefused(f"{name} uses the operator {operator}, which is not one of pytorch's own")


def _check_attributes(tokens: list[Token], name: str) -> None:
    """``getattr(object, "name")`` with a plain text, so that the name can be looked at."""
    depth, asked = 0, []
    for place, (kind, text) in enumerate(tokens):
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth -= 1
        elif kind == "name" and text == "getattr":
            if tokens[place + 1 : place + 2] != [("open", "(")]:
                raise _odd_attribute(name)
            asked.append(depth + 1)
        elif text == "," and asked and depth == asked[-1]:
            asked.pop()
            given = tokens[place + 1 : place + 3]
            if len(given) < 2 or given[1][0] != "close" or not PLAIN_TEXT.fullmatch(given[0][1]):
                raise _odd_attribute(name)
            if (attribute := given[0][1][1:-1]) in FORBIDDEN | {"ops", "classes"}:
                raise _reaches(name, attribute)
    if asked:
        raise _odd_attribute(name)


def _odd_attribute(name: str) -> ModelRefused:
    return ModelRefused(f"{name} holds code that pytorch did not write: getattr without a plain name")


def _reaches(name: str, what: str) -> ModelRefused:
    if what in {"print", "_print"}:
        return ModelRefused(f"{name} prints, which would put images into logs: remove print() and save it again")
    return ModelRefused(f"{name} uses {what!r}, which reaches files or other processes")
