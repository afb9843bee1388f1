"""Values of a bundle's configuration, read without running any of it.

MONAI's bundles write values as JSON or YAML with references (``@id``, ``@id#key#0``), Python expressions (``$...``) and
objects (``_target_``), see docs.monai.io, *MONAI Bundle: Configuration*. MONAI evaluates the expressions; here a small
part of Python is understood (numbers, texts, lists, arithmetic, comparisons, choices, calls with such arguments), and a
call is not made but kept as what it is (:class:`Built`), so that whoever knows its name may act on it.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from models.site.errors import ModelRefused

#: Expressions and references within each other.
MAX_DEPTH = 40
#: Values that one bundle may have.
MAX_VALUES = 50_000
MAX_EXPRESSION = 2_000
MAX_NUMBER = 1e12
MAX_LENGTH = 10_000
MAX_REFERENCE = 4_000

REFERENCE = re.compile(r"@([A-Za-z_]\w{0,80}(?:(?:#|::)\w{1,80}){0,20})")
KEYWORDS = frozenset({"_target_", "_requires_", "_disabled_", "_desc_", "_mode_", "_args_"})

#: Methods of networks that move them; they are moved by us.
MOVES = frozenset({"to", "eval", "cuda", "cpu", "float"})

_OPERATORS: Mapping[type[ast.AST], Callable[[Any, Any], Any]] = MappingProxyType(
    {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: operator.truediv,
        ast.FloorDiv: operator.floordiv,
        ast.Eq: operator.eq,
        ast.NotEq: operator.ne,
        ast.Lt: operator.lt,
        ast.LtE: operator.le,
        ast.Gt: operator.gt,
        ast.GtE: operator.ge,
    }
)


@dataclass(frozen=True, slots=True)
class Built:
    """An object or a call that the configuration names, not made."""

    target: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def short(self) -> str:
        """Last part of the name."""
        return self.target.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Named:
    """A dotted name, such as ``torch.float32``; nothing is looked up."""

    name: str


class Config:
    """A bundle's configuration.

    Parameters
    ----------
    values
        Plain data.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._open: list[str] = []
        self._count = 0

    @property
    def raw_values(self) -> Mapping[str, Any]:
        """Everything, as it is written."""
        return self._values

    def has(self, name: str) -> bool:
        """Whether there is a value of this name."""
        return name in self._values

    def raw(self, name: str) -> Any:
        """The value as it is written, found by ``id#key#0``."""
        value: Any = self._values
        for key in re.split(r"#|::", name[:MAX_REFERENCE]):
            try:
                value = value[int(key)] if isinstance(value, list) else value[key]
            except (KeyError, IndexError, ValueError, TypeError):
                said = f"the bundle's configuration refers to {name[:100]!r}, which it does not have"
                raise ModelRefused(said) from None
        return value

    def followed(self, written: Any) -> Any:
        """What a reference to a reference leads to, as it is written."""
        seen: set[str] = set()
        while isinstance(written, str) and written.startswith("@"):
            if written in seen:
                raise ModelRefused(f"the bundle's configuration refers to {written[:100]!r} in a circle")
            seen.add(written)
            written = self.raw(written[1:])
        return written

    def get(self, name: str) -> Any:
        """The value of an id."""
        if name in self._open or len(self._open) > MAX_DEPTH:
            raise ModelRefused(f"the bundle's configuration refers to {name!r} in a circle")
        self._open.append(name)
        try:
            return self.value(self.raw(name))
        finally:
            self._open.pop()

    def value(self, written: Any, depth: int = 0) -> Any:
        """What a written value stands for; :class:`ModelRefused` names what is not understood."""
        self._count += 1
        if depth > MAX_DEPTH or self._count > MAX_VALUES:
            raise ModelRefused("the bundle's configuration is nested too deeply, or too large")
        if isinstance(written, str):
            return self._text(written)
        if isinstance(written, list):
            return [self.value(item, depth + 1) for item in written]
        if isinstance(written, dict):
            return self._table(written, depth)
        return written

    def _table(self, written: dict[str, Any], depth: int) -> Any:
        if "_target_" not in written:
            return {key: self.value(item, depth + 1) for key, item in written.items()}
        if self.disabled(written):
            return None
        kwargs = {key: self.value(item, depth + 1) for key, item in written.items() if key not in KEYWORDS}
        args = tuple(self.value(item, depth + 1) for item in written.get("_args_", ()))
        return Built(str(written["_target_"]), args, MappingProxyType(kwargs))

    def disabled(self, written: Mapping[str, Any]) -> bool:
        """Whether an object is switched off."""
        value = self.value(written.get("_disabled_", False))
        return value if isinstance(value, bool) else str(value).lower() == "true"

    def _text(self, written: str) -> Any:
        if written.startswith("$"):
            return self._expression(written[1:])
        if written.startswith("@") and REFERENCE.fullmatch(written):
            return self.get(written[1:])
        if written.startswith("%"):
            raise ModelRefused(f"the bundle's configuration includes another file: {written[:80]!r}")
        return written

    def _expression(self, text: str) -> Any:
        if len(text) > MAX_EXPRESSION:
            raise ModelRefused("an expression of the bundle's configuration is too long")
        names: dict[str, str] = {}

        def placed(found: re.Match[str]) -> str:
            name = f"__ref_{len(names)}"
            names[name] = found[1]
            return name

        try:
            tree = ast.parse(REFERENCE.sub(placed, text).strip(), mode="eval").body
            return self._node(tree, names, text)
        except (SyntaxError, RecursionError, TypeError, ValueError, ArithmeticError, MemoryError) as error:
            raise not_understood(text) from error

    def _node(self, node: ast.expr, names: Mapping[str, str], text: str) -> Any:
        """Value of a part of an expression."""

        def inner(part: ast.expr) -> Any:
            return self._node(part, names, text)

        match node:
            case ast.Constant(value=bool() | int() | float() | str() | None as value):
                return value
            case ast.Name(id=name):
                return self.get(names[name]) if name in names else Named(name)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return [inner(item) for item in items]
            case ast.Dict(keys=keys, values=values) if None not in keys:
                return {inner(key): inner(value) for key, value in zip(keys, values, strict=True) if key is not None}
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -_number(inner(operand))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not _known(inner(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _computed(_OPERATORS[type(op)], inner(left), inner(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](_known(inner(left)), _known(inner(right)))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return inner(body) if _known(inner(test)) else inner(orelse)
            case ast.Attribute():
                return Named(_dotted(node))
            case ast.Call(func=ast.Attribute(value=owner, attr=method)) if method in MOVES and _leads(owner, names):
                return inner(owner)
            case ast.Call(func=func, args=args, keywords=keywords) if all(key.arg for key in keywords):
                kwargs = {str(key.arg): inner(key.value) for key in keywords}
                return Built(self._called(func, names), tuple(inner(item) for item in args), MappingProxyType(kwargs))
            case _:
                raise not_understood(text)

    def _called(self, func: ast.expr, names: Mapping[str, str]) -> str:
        """Dotted name of what is called; ``@id.method`` keeps the id."""
        name = _dotted(func)
        first, _, rest = name.partition(".")
        return f"@{names[first]}.{rest}" if first in names else name


def not_understood(text: str) -> ModelRefused:
    """The refusal of an expression."""
    shown = text if len(text) <= 120 else f"{text[:117]}..."
    return ModelRefused(
        f"the bundle's configuration runs {shown!r}, which is not understood; "
        "trust = true under [engine] of model.toml runs the bundle's own code"
    )


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    raise ValueError("a call of something without a name")


def _leads(owner: ast.expr, names: Mapping[str, str]) -> bool:
    """Whether ``owner.to(...)`` is of a reference or of an object made on the spot."""
    return (isinstance(owner, ast.Name) and owner.id in names) or isinstance(owner, ast.Call)


def _known(value: Any) -> Any:
    if isinstance(value, Built | Named):
        raise TypeError("the value is known only by running it")
    return value


def _number(value: Any) -> Any:
    if isinstance(value, int | float):
        return value
    raise TypeError("no number")


def _computed(action: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """Arithmetic of numbers; texts and lists are joined only."""
    if isinstance(left, int | float) and isinstance(right, int | float):
        result = action(left, right)
        if abs(result) > MAX_NUMBER:
            raise ValueError("too large a number")
        return result
    if action is operator.add and type(left) is type(right) and isinstance(left, str | list):
        if len(left) + len(right) > MAX_LENGTH:
            raise ValueError("too long a text")
        return left + right
    raise TypeError("no numbers")
