"""What the knowledge graph knows of a code or name, as plain data for the command and for pages. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from models.contracts import Code
from models.fusion.graph import Graph
from models.fusion.knowledge_types import PLACES, Edge, EdgeRelation, Node, NodeKind
from models.fusion.links import SMALL

#: Longest word that is looked up, and how many names are suggested for one that is not known.
MAX_WORD = 100
SUGGESTED = 5

#: Paths of two steps that are given, the heaviest.
MAX_PATHS = 20

_SCHEMES = ("SCT", "I10C", "LN", "RXNORM", "RADLEX", "DCM", "99OVERREAD")


def explain(graph: Graph, word: str) -> dict[str, Any] | None:
    """Tell what the graph knows.

    Parameters
    ----------
    word
        ``SCHEME:VALUE``, a value alone, the id of a node, or one of its names.

    Returns
    -------
    dict or None
        ``node``, ``if_too_small`` (what a measured structure is then; its edges are given), ``also`` (other nodes that
        the code stands for), one list a relation of what is said of the node,
        ``says`` (what it says of others), ``paths`` of two steps with the product of their weights; None if the word is
        not known.
    """
    found = find(graph, word)
    if not found:
        return None
    node = found[0]
    small = graph.nodes.get(SMALL.get(node.id, ""))
    names = [node.id, *([small.id] if small else [])]
    to = [edge for name in names for edge in graph.edges_to(name)]
    given = [edge for name in names for edge in graph.edges_from(name)]
    return {
        "graph": graph.version,
        "node": describe(node),
        "if_too_small": describe(small) if small else None,
        "also": [describe(other) for other in found[1:]],
        **{
            str(relation): [_edge(graph, edge, edge.subject) for edge in to if edge.relation is relation]
            for relation in EdgeRelation
            if relation is not EdgeRelation.RECOMMENDS
        },
        "recommended": [_edge(graph, edge, edge.object) for edge in given if _recommends(edge)],
        "says": [
            {"relation": str(edge.relation), **_edge(graph, edge, edge.object)}
            for edge in given
            if not _recommends(edge)
        ],
        "paths": _paths(graph, small or node),
    }


def find(graph: Graph, word: str) -> tuple[Node, ...]:
    """Nodes that a code, an id or a name stands for, the most specific first."""
    said = word.strip()[:MAX_WORD]
    scheme, colon, value = said.partition(":")
    codes = [Code(value, scheme, "")] if colon else [Code(said, scheme, "") for scheme in _SCHEMES]
    found = {node.id: node for code in codes for place in ("", *PLACES) for node in graph.match(code, place)}
    if not found and said in graph.nodes:
        found = {said: graph.nodes[said]}
    if not found:
        folded = said.casefold()
        found = {node.id: node for node in graph.nodes.values() if folded in (name.casefold() for name in _names(node))}
    return tuple(found.values())


def suggest(graph: Graph, word: str) -> tuple[str, ...]:
    """Codes and names that look like a word, the nearest first."""
    known: dict[str, str] = {}
    for node in graph.nodes.values():
        for name in (node.id, *_names(node), *(str(pattern) for pattern in node.patterns)):
            known.setdefault(name.casefold(), name)
            known.setdefault(name.casefold().partition(":")[2] or name.casefold(), name)
    near = difflib.get_close_matches(word.strip()[:MAX_WORD].casefold(), known, n=SUGGESTED, cutoff=0.5)
    return tuple(dict.fromkeys(known[name] for name in near))


def listed(graph: Graph, kind: str = "") -> list[dict[str, Any]]:
    """All nodes, or those of one kind, with how many edges lead to and from each."""
    return [
        {**describe(node), "edges_to": len(graph.edges_to(node.id)), "edges_from": len(graph.edges_from(node.id))}
        for node in graph.nodes.values()
        if not kind or node.kind == kind
    ]


def kinds() -> tuple[str, ...]:
    """Kinds of nodes."""
    return tuple(str(kind) for kind in NodeKind)


def describe(node: Node) -> dict[str, Any]:
    """Give a node as plain data."""
    return {
        "id": node.id,
        "kind": str(node.kind),
        "meaning": node.meaning,
        "chinese": node.chinese,
        "codes": [str(pattern) for pattern in node.patterns],
        "names": list(node.names),
    }


def _names(node: Node) -> tuple[str, ...]:
    return tuple(name for name in (node.meaning, node.chinese, *node.names) if name)


def _recommends(edge: Edge) -> bool:
    return edge.relation is EdgeRelation.RECOMMENDS


def _edge(graph: Graph, edge: Edge, other: str) -> dict[str, Any]:
    return {
        "id": other,
        "concept": graph.nodes[other].meaning,
        "condition": str(edge.condition or ""),
        "weight": edge.weight,
        "why": edge.why,
        "source": edge.source,
    }


def _paths(graph: Graph, node: Node) -> list[dict[str, Any]]:
    """Paths of two steps that end or begin at a node and do not turn back."""
    found = [*_pairs(graph, _ending(graph, node)), *_pairs(graph, _beginning(graph, node))]
    found.sort(key=lambda path: (-path["weight"], path["steps"]))
    return found[:MAX_PATHS]


def _ending(graph: Graph, node: Node) -> Iterator[tuple[Edge, Edge]]:
    for last in graph.edges_to(node.id):
        for first in graph.edges_to(last.subject):
            if first.subject != node.id:
                yield first, last


def _beginning(graph: Graph, node: Node) -> Iterator[tuple[Edge, Edge]]:
    for first in graph.edges_from(node.id):
        for last in graph.edges_from(first.object):
            if last.object != node.id:
                yield first, last


def _pairs(graph: Graph, pairs: Iterable[tuple[Edge, Edge]]) -> Iterator[dict[str, Any]]:
    for first, last in pairs:
        yield {
            "steps": [_step(graph, first), _step(graph, last)],
            "weight": round(first.weight * last.weight, 3),
            "sources": [first.source, last.source],
        }


def _step(graph: Graph, edge: Edge) -> str:
    return f"{graph.nodes[edge.subject].meaning} {_words(edge)} {graph.nodes[edge.object].meaning}"


def _words(edge: Edge) -> str:
    said = str(edge.relation).replace("_", " ")
    return f"({edge.condition}) {said}" if edge.condition else said


@dataclass(frozen=True)
class Explainer:
    """The graph, asked with words and answering with plain data: what the command `overread graph` needs."""

    graph: Graph

    def explain(self, word: str) -> dict[str, Any] | None:
        """See :func:`explain`."""
        return explain(self.graph, word)

    def suggest(self, word: str) -> tuple[str, ...]:
        """See :func:`suggest`."""
        return suggest(self.graph, word)

    def listed(self, kind: str) -> list[dict[str, Any]]:
        """See :func:`listed`."""
        return listed(self.graph, kind)

    def kinds(self) -> tuple[str, ...]:
        """See :func:`kinds`."""
        return kinds()
