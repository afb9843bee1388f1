"""The knowledge graph: what supports, contradicts, explains or endangers a finding, and what is recommended then.

Nodes are clinical concepts with their codes; edges say what one concept says of another, how strongly, why, and by
whose word. The files lie under ``models/fusion/knowledge`` and are meant to be read; see docs/fusion.md. A site adds
its own folder of files of the same form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

from models.contracts import Code
from models.fusion import knowledge_files
from models.fusion.knowledge_types import FAMILY, Edge, Grade, Node, Pattern, PriorityRule

__all__ = ["Graph", "build", "load"]


#: The only scheme whose codes may be prefixes: ICD-10-CM.
PREFIXED = "I10C"


@dataclass(frozen=True)
class Graph:
    """Nodes by id, edges in the order of the files, and the tables of triage."""

    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    grades: Mapping[str, Grade] = field(default_factory=dict)
    rules: tuple[PriorityRule, ...] = ()
    version: str = ""
    _exact: Mapping[tuple[str, str, str], tuple[str, ...]] = field(default_factory=dict, repr=False, compare=False)
    _prefixes: tuple[tuple[Pattern, str], ...] = field(default=(), repr=False, compare=False)
    _to: Mapping[str, tuple[Edge, ...]] = field(default_factory=dict, repr=False, compare=False)
    _from: Mapping[str, tuple[Edge, ...]] = field(default_factory=dict, repr=False, compare=False)

    def match(self, code: Code, where: str = "") -> tuple[Node, ...]:
        """Concepts that a code stands for, the most specific first.

        Parameters
        ----------
        where
            ``family`` where the statement is about the family: then only what is marked so is meant. One of
            :data:`~models.fusion.knowledge_types.PLACES` for an image of that part of the body.
        """
        value = code.value.replace(".", "")
        places = (FAMILY,) if where == FAMILY else tuple(dict.fromkeys(("", where)))
        exact = [name for place in places for name in self._exact.get((code.scheme, value, place), ())]
        longer: list[str] = []
        if code.scheme == PREFIXED:
            longer = [name for pattern, name in self._prefixes if pattern.where in places and pattern.matches(code)]
        return tuple(self.nodes[name] for name in dict.fromkeys([*exact, *longer]))

    def edges_to(self, node: str) -> tuple[Edge, ...]:
        """Edges whose object is a node, the heaviest first."""
        return self._to.get(node, ())

    def edges_from(self, node: str) -> tuple[Edge, ...]:
        """Edges whose subject is a node, the heaviest first."""
        return self._from.get(node, ())


def build(
    nodes: Iterable[Node], edges: Iterable[Edge], grades: Iterable[Grade] = (), rules: Iterable[PriorityRule] = ()
) -> Graph:
    """Make a graph with its indexes; what is given is taken to be valid."""
    by_id = {node.id: node for node in nodes}
    kept, graded, ruled = tuple(edges), {grade.node: grade for grade in grades}, tuple(rules)
    prefixes = [(p, node.id) for node in by_id.values() for p in node.patterns if p.prefix]
    prefixes.sort(key=lambda item: (-len(item[0].value), len(by_id[item[1]].patterns), item[1]))
    return Graph(
        nodes=MappingProxyType(by_id),
        edges=kept,
        grades=MappingProxyType(graded),
        rules=ruled,
        version=_version(by_id, kept, graded, ruled),
        _exact=MappingProxyType(_exact_index(by_id)),
        _prefixes=tuple(prefixes),
        _to=MappingProxyType(_index(kept, "object")),
        _from=MappingProxyType(_index(kept, "subject")),
    )


def _exact_index(nodes: Mapping[str, Node]) -> dict[tuple[str, str, str], tuple[str, ...]]:
    """Index codes; of several concepts with one code the one that stands for the fewest codes is the most specific."""
    index: dict[tuple[str, str, str], tuple[str, ...]] = {}
    for node in sorted(nodes.values(), key=lambda node: (len(node.patterns), node.id)):
        for pattern in node.patterns:
            if not pattern.prefix:
                key = pattern.scheme, pattern.value.replace(".", ""), pattern.where
                index[key] = (*index.get(key, ()), node.id)
    return index


def _index(edges: tuple[Edge, ...], end: str) -> dict[str, tuple[Edge, ...]]:
    index: dict[str, list[Edge]] = {}
    for edge in edges:
        index.setdefault(getattr(edge, end), []).append(edge)
    return {name: tuple(sorted(found, key=lambda edge: (-edge.weight, edge.key))) for name, found in index.items()}


def _version(
    nodes: Mapping[str, Node], edges: tuple[Edge, ...], grades: Mapping[str, Grade], rules: tuple[PriorityRule, ...]
) -> str:
    """Twelve hexadecimal digits of everything that decides something: the same files give the same version."""
    lines = [repr(nodes[name]) for name in sorted(nodes)]
    lines += [repr(edge) for edge in sorted(edges, key=lambda edge: edge.key)]
    lines += [repr(grades[name]) for name in sorted(grades)]
    lines += sorted(repr(rule) for rule in rules)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def load(path: Path | None = None) -> Graph:
    """Read the shipped graph, and over it the files of the site's folder.

    Parameters
    ----------
    path
        Folder of the site (``[knowledge] path``), or None.

    Raises
    ------
    GraphError
        Naming file and line, if a file is malformed, an end of an edge is no node, or an edge stands twice.
    """
    return _shipped() if path is None else build(*knowledge_files.read(path))


@cache
def _shipped() -> Graph:
    return build(*knowledge_files.read(None))
