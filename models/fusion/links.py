"""What of the record supports, contradicts or explains each image finding, or makes it more dangerous, ranked. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from models.fusion.contracts import Case, Link, Relation, Score, Source
from models.fusion.graph import Graph
from models.fusion.knowledge_types import Edge, EdgeRelation, Node
from models.fusion.knowledge_values import holds
from models.fusion.statements import MAX_FINDINGS, Statement, factor, gather, place_of

#: Links that one finding has at most, the heaviest; a reader looks at a few.
PER_FINDING = 10

#: Findings that have links: images with more have them for the first, which models put first.
MAX_LINKED = 50

#: Below this a link says nothing worth reading.
LEAST_WEIGHT = 0.1

#: Weight of the note that states the very finding, of the one that denies it, and of an earlier study that had it.
SAME = 0.9
DENIED = 0.6
BEFORE = 0.6

#: What a denied symptom keeps of its edge's weight: absence says less than presence (judged; docs/fusion.md).
ABSENT = 0.4

#: What is left of a link to something that was measured, while nothing says whether it is too small.
MEASURED_ONLY = 0.5

#: Structures that are measured, and the finding that they are if they are too small.
SMALL: Mapping[str, str] = MappingProxyType({"hippocampus": "hippocampal_atrophy"})

#: Score that says whether a measured structure is too small, and which of its categories say so or deny it; others,
#: such as "small in one series, not in another", leave it open.
SIZE_SCORE = "hippocampal-volume"
SIZE_CATEGORIES: Mapping[str, bool] = MappingProxyType({"small for age": True, "within norms": False})

_RELATIONS = {
    EdgeRelation.SUPPORTS: Relation.SUPPORTS,
    EdgeRelation.CONTRADICTS: Relation.CONTRADICTS,
    EdgeRelation.EXPLAINS: Relation.EXPLAINS,
    EdgeRelation.RAISES_RISK: Relation.RAISES_RISK,
}
_ORDER = {relation: rank for rank, relation in enumerate(Relation)}


def links(case: Case, graph: Graph, scores: Iterable[Score] = ()) -> tuple[Link, ...]:
    """Rank what the record says of each image finding.

    Parameters
    ----------
    case
        What is known.
    graph
        What follows from what.
    scores
        Of the same case; they tell whether a measured structure is too small.

    Returns
    -------
    tuple of Link
        By finding, then by weight; at most :data:`PER_FINDING` of each. Several findings of one kind that are not told
        apart as lesions have them once, at the first.
    """
    known = tuple(scores)
    statements = by_node(gather(case, graph))
    return tuple(link for index in leading(case, graph) for link in _of_finding(index, case, graph, statements, known))


def leading(case: Case, graph: Graph) -> tuple[int, ...]:
    """Findings that links belong to: of parts of one thing (same concept, side and lesion) the first."""
    place = place_of(case)
    first: dict[tuple[str, str, str], int] = {}
    for index, finding in enumerate(case.findings[:MAX_FINDINGS]):
        nodes = graph.match(finding.code, place)
        if nodes:
            first.setdefault((nodes[0].id, str(finding.side or ""), finding.lesion), index)
    return tuple(first.values())[:MAX_LINKED]


def by_node(statements: Iterable[Statement]) -> Mapping[str, tuple[Statement, ...]]:
    """Index statements by every concept that they name."""
    index: dict[str, list[Statement]] = {}
    for item in statements:
        for name in item.nodes:
            index.setdefault(name, []).append(item)
    return {name: tuple(items) for name, items in index.items()}


def too_small(index: int, scores: Iterable[Score]) -> bool | None:
    """Whether a score says that a measured structure is too small; None where none says anything."""
    said = [SIZE_CATEGORIES.get(s.category) for s in scores if s.name == SIZE_SCORE and s.finding == index]
    return said[0] if said else None


def _of_finding(
    index: int, case: Case, graph: Graph, statements: Mapping[str, tuple[Statement, ...]], scores: tuple[Score, ...]
) -> tuple[Link, ...]:
    own = graph.match(case.findings[index].code, place_of(case))
    found = [*_same(index, own, statements, graph)]
    for node in own:
        found += _by_edges(index, graph, graph.edges_to(node.id), statements, 1.0)
        if node.id in SMALL and (small := too_small(index, scores)) is not False:
            share = 1.0 if small else MEASURED_ONLY
            found += _by_edges(index, graph, graph.edges_to(SMALL[node.id]), statements, share)
    return _ranked(found)


def _same(
    index: int, own: tuple[Node, ...], statements: Mapping[str, tuple[Statement, ...]], graph: Graph
) -> Iterator[tuple[str, Link]]:
    """Links of statements on the very finding: a note that states or denies it, an earlier study that had it."""
    near = dict.fromkeys(item for node in own for item in statements.get(node.id, ()))
    for item in near:
        if item.index is not None or not is_same(item, own):
            continue
        node = graph.nodes[item.nodes[0]]
        if item.evidence.source is Source.PRIOR:
            why, relation, weight = "An earlier study showed the same.", Relation.SUPPORTS, BEFORE
        elif item.assertion.negated:
            why, relation, weight = f"The {item.evidence.source} denies the finding.", Relation.CONTRADICTS, DENIED
        else:
            why, relation, weight = f"The {item.evidence.source} names the same.", Relation.SUPPORTS, SAME
        yield f"{node.id}={relation}", Link(index, relation, item.evidence, weight * factor(item, node), why)


def is_same(item: Statement, own: tuple[Node, ...]) -> bool:
    """Whether a statement is about a finding itself.

    It is if one of the two is a kind of the other: "no intracranial haemorrhage" is about a subdural one, "subdural
    haematoma" is about an intracranial haemorrhage; "no epidural haematoma" is not about a subdural one.
    """
    if not own or not item.nodes:
        return False
    return item.nodes[0] in {node.id for node in own} or own[0].id in item.nodes


def _by_edges(
    index: int, graph: Graph, edges: Iterable[Edge], statements: Mapping[str, tuple[Statement, ...]], share: float
) -> Iterator[tuple[str, Link]]:
    for edge in edges:
        if edge.relation not in _RELATIONS:
            continue
        for item in statements.get(edge.subject, ()):
            if item.index == index:
                continue
            link = _by_edge(index, edge, item, graph.nodes[edge.subject], share)
            if link is not None:
                yield f"{edge.subject}={link.relation}", link


def _by_edge(index: int, edge: Edge, item: Statement, node: Node, share: float) -> Link | None:
    why = edge.why if share == 1.0 else f"If it is too small: {edge.why[0].lower()}{edge.why[1:]}"
    weight = edge.weight * factor(item, node) * share
    if item.assertion.negated:
        if edge.relation is not EdgeRelation.SUPPORTS or edge.condition is not None:
            return None
        absent = f"Absent, which speaks weakly against it: {why[0].lower()}{why[1:]}"
        return Link(index, Relation.CONTRADICTS, item.evidence, weight * ABSENT, absent)
    if not holds(edge.condition, item.value):
        return None
    return Link(index, _RELATIONS[edge.relation], item.evidence, weight, why)


def _ranked(found: Iterable[tuple[str, Link]]) -> tuple[Link, ...]:
    """Keep the heaviest link of each concept and relation, and of each piece of evidence and relation; first."""
    rounded = [(name, replace(link, weight=round(link.weight, 3))) for name, link in found]
    kept: dict[str, Link] = {}
    used: set[tuple[Relation, str, str]] = set()
    for name, link in sorted(rounded, key=lambda item: (_rank(item[1]), item[0])):
        said = link.relation, link.evidence.reference, link.evidence.text
        if link.weight >= LEAST_WEIGHT and name not in kept and said not in used:
            kept[name] = link
            used.add(said)
    return tuple(kept.values())[:PER_FINDING]


def _rank(link: Link) -> tuple[float, int, str, str, str]:
    return -link.weight, _ORDER[link.relation], str(link.evidence.source), link.evidence.reference, link.evidence.text
