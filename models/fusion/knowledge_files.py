"""Reading the knowledge graph's files: tab-separated, one statement a line, ``#`` starts a comment line.

``nodes*.tsv``, ``edges*.tsv``, ``critical*.tsv`` and ``priority*.tsv`` are read in the order of their names, the
shipped ones first and then the site's, which add to them or override them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Protocol, TypeVar

from models.fusion.contracts import Priority
from models.fusion.knowledge_types import (
    FAMILY,
    PLACES,
    Edge,
    EdgeRelation,
    Grade,
    GraphError,
    Node,
    NodeKind,
    Pattern,
    PriorityRule,
)
from models.fusion.knowledge_values import parse_condition

#: Bounds of a file that a site may give: what people write by hand stays far below.
MAX_BYTES = 4_000_000
MAX_ROWS = 50_000

RULE_KINDS = frozenset({"score", "score_category", "patient_class", "acute", "risk"})
_ID = re.compile(r"[a-z0-9_]{1,60}")
_SCORE_TEST = re.compile(r"(?:>=|<=|>|<) ?\d{1,6}(?:\.\d{1,4})?")

T = TypeVar("T")
K = TypeVar("K")


class Readable(Protocol):
    """A file in a folder or in a package."""

    @property
    def name(self) -> str:
        """Its name, for errors."""
        ...

    def read_bytes(self) -> bytes:
        """All of it."""
        ...


@dataclass(frozen=True, slots=True)
class Row:
    """One line: where it stands, and its cells."""

    file: str
    line: int
    cells: tuple[str, ...]

    @property
    def place(self) -> str:
        """``file:line``."""
        return f"{self.file}:{self.line}"


def read(
    site: Path | None,
) -> tuple[tuple[Node, ...], tuple[Edge, ...], tuple[Grade, ...], tuple[PriorityRule, ...]]:
    """Read the shipped files and the site's.

    Raises
    ------
    GraphError
        Naming file and line.
    """
    folders = [_shipped(), *([_site(site)] if site is not None else [])]
    nodes = _merged(folders, "nodes", 6, _node, lambda node: node.id)
    edges = _merged(folders, "edges", 7, _edge, lambda edge: edge.key)
    grades = _merged(folders, "critical", 6, _grade, lambda grade: grade.node)
    rules = _merged(folders, "priority", 6, _rule, lambda rule: (rule.kind, rule.key, rule.test))
    known = {node.id for _, node in nodes}
    for row, edge in edges:
        _check_ends(row, (edge.subject, edge.object), known)
    for row, grade in grades:
        _check_ends(row, (grade.node,), known)
    for row, rule in rules:
        _check_ends(row, (rule.key,) if rule.kind == "acute" else (), known)
    return (
        tuple(node for _, node in nodes),
        tuple(edge for _, edge in edges if edge.weight > 0),
        tuple(grade for _, grade in grades),
        tuple(rule for _, rule in rules),
    )


def _shipped() -> list[Readable]:
    folder = files("models.fusion").joinpath("knowledge")
    return sorted((item for item in folder.iterdir() if item.name.endswith(".tsv")), key=lambda item: item.name)


def _site(path: Path) -> list[Readable]:
    if not path.is_dir():
        raise GraphError(f"{path}: is no folder; knowledge.path must name the folder of the site's .tsv files")
    found: list[Readable] = sorted(path.glob("*.tsv"), key=lambda item: item.name)
    strange = [item.name for item in found if not item.name.startswith(("nodes", "edges", "critical", "priority"))]
    if strange:
        raise GraphError(f"{strange[0]}: a file must be called nodes*.tsv, edges*.tsv, critical*.tsv or priority*.tsv")
    return found


def _merged(
    folders: Sequence[Sequence[Readable]],
    kind: str,
    columns: int,
    parse: Callable[[Row], T],
    key: Callable[[T], K],
) -> list[tuple[Row, T]]:
    """Read one kind of file from all folders; a later folder overrides, within one nothing may stand twice."""
    merged: dict[K, tuple[Row, T]] = {}
    for folder in folders:
        own: dict[K, Row] = {}
        for row in (row for item in folder if item.name.startswith(kind) for row in _rows(item, columns)):
            with _placed(row):
                parsed = parse(row)
            if (first := own.setdefault(key(parsed), row)) is not row:
                raise GraphError(f"{row.place}: the same stands in {first.place}; remove one of them")
            merged[key(parsed)] = (row, parsed)
    return list(merged.values())


def _rows(item: Readable, columns: int) -> Iterator[Row]:
    data = item.read_bytes()
    if len(data) > MAX_BYTES:
        raise GraphError(f"{item.name}: larger than {MAX_BYTES} bytes")
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as exc:
        raise GraphError(f"{item.name}: is not UTF-8 text (byte {exc.start})") from exc
    if len(lines) > MAX_ROWS:
        raise GraphError(f"{item.name}: more than {MAX_ROWS} lines")
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith("#"):
            cells = tuple(cell.strip() for cell in line.split("\t"))
            if len(cells) > columns:
                raise GraphError(f"{item.name}:{number}: {len(cells)} columns, expected at most {columns}")
            yield Row(item.name, number, cells + ("",) * (columns - len(cells)))


@contextmanager
def _placed(row: Row) -> Iterator[None]:
    try:
        yield
    except ValueError as exc:
        raise GraphError(f"{row.place}: {exc}") from exc


def _node(row: Row) -> Node:
    name, kind, codes, meaning, chinese, names = row.cells
    if not _ID.fullmatch(name):
        raise ValueError(f'the id "{name[:40]}" must be small letters, digits and _')
    if not meaning:
        raise ValueError("the meaning is empty")
    return Node(
        id=name,
        kind=NodeKind(_one_of(kind, NodeKind, "kind")),
        patterns=tuple(_pattern(said) for said in _listed(codes)),
        meaning=meaning,
        chinese=chinese,
        names=tuple(_listed(names)),
    )


def _pattern(said: str) -> Pattern:
    scheme, colon, rest = said.partition(":")
    value, at, where = rest.partition("@")
    if not colon or not scheme or not value.strip("*") or (at and where not in (FAMILY, *PLACES)):
        raise ValueError(f'the code "{said[:40]}" must look like SCT:36118008, I10C:C34*, I10C:C34*@family or @chest')
    if value.endswith("*") and scheme != "I10C":
        raise ValueError(f'"{said[:40]}": only ICD-10-CM codes (I10C) have prefixes')
    return Pattern(scheme, value.removesuffix("*"), value.endswith("*"), where)


def _edge(row: Row) -> Edge:
    subject, relation, obj, weight, condition, why, source = row.cells
    if not why or not source:
        raise ValueError("an edge needs a sentence that says why, and its source")
    if subject == obj:
        raise ValueError("an edge cannot lead to its own node")
    return Edge(
        subject=subject,
        relation=EdgeRelation(_one_of(relation, EdgeRelation, "relation")),
        object=obj,
        weight=_share(weight, "weight"),
        condition=parse_condition(condition),
        why=why,
        source=source,
    )


def _grade(row: Row) -> Grade:
    node, priority, critical, confidence, why, source = row.cells
    if critical not in ("yes", "no", "risk"):
        raise ValueError('critical must be "yes", "no" or "risk"')
    if critical != "no" and priority != Priority.STAT:
        raise ValueError("a critical finding must have the priority STAT")
    return Grade(
        node=node,
        priority=_one_of(priority, Priority, "priority"),
        critical=critical == "yes",
        by_risk=critical == "risk",
        confidence=_share(confidence, "confidence"),
        why=why,
        source=source,
    )


def _rule(row: Row) -> PriorityRule:
    kind, key, test, priority, why, source = row.cells
    if kind not in RULE_KINDS:
        raise ValueError(f'the kind "{kind[:40]}" must be one of: {", ".join(sorted(RULE_KINDS))}')
    if kind == "score" and not _SCORE_TEST.fullmatch(test):
        raise ValueError(f'the test of a score must look like ">= 3", not "{test[:40]}"')
    if kind == "score_category" and not _listed(test):
        raise ValueError("the test of a score's category must name categories, such as 4B|4X")
    return PriorityRule(kind, key, test, _one_of(priority, Priority, "priority"), why, source)


def _one_of(said: str, choices: type[NodeKind] | type[EdgeRelation] | type[Priority], what: str) -> str:
    allowed = [str(choice) for choice in choices]
    if said not in allowed:
        raise ValueError(f'the {what} "{said[:40]}" must be one of: {", ".join(allowed)}')
    return said


def _share(said: str, what: str) -> float:
    try:
        value = float(said)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ValueError(f'the {what} "{said[:20]}" must be a number from 0 to 1')
    return value


def _listed(cell: str) -> list[str]:
    return [part.strip() for part in cell.split("|") if part.strip()]


def _check_ends(row: Row, ends: tuple[str, ...], known: set[str]) -> None:
    for end in ends:
        if end not in known:
            raise GraphError(f'{row.place}: there is no node "{end[:60]}"; add it to a nodes*.tsv file')
