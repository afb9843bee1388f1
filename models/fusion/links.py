"""What of the record supports, contradicts or explains each image finding, or makes it more dangerous, ranked. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from models.fusion.contracts import Case, Link, Relation, Score, Source
from models.fusion.graph import Graph
from models.fusion.knowledge_types import Edge, EdgeRelation, Node, NodeKind
from models.fusion.knowledge_values import holds
from models.fusion.statements import MAX_FINDINGS, UNCERTAIN, Statement, factor, gather, place_of

#: Links that one finding has at most, the heaviest; a reader looks at a few.
PER_FINDING = 10

#: Findings that have links: images with more have them for the first, which models put first.
MAX_LINKED = 50

#: Below this a link says nothing worth reading.
LEAST_WEIGHT = 0.1

#: Weight of the note that states the very finding, of one that suspects it or asks for it, of one that denies it, and
#: of an earlier study that had it.
SAME = 0.9
SUSPECTED = 0.3
DENIED = 0.6
BEFORE = 0.6

#: So many days before the study a note that denies a finding speaks of another time: nothing contradicts then.
DENIAL_DAYS = 30.0

#: Findings that are found by chance more often than by symptoms: that a symptom is denied says nothing of them.
QUIET = frozenset({"lung_nodule", "hippocampal_atrophy", "hippocampal_sclerosis", "emphysema", "cardiomegaly"})

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
    side = str(case.findings[index].side or "")
    found = [*_same(index, case.findings[index].label, own, statements, graph, side)]
    for node in own:
        found += _by_edges(index, graph, graph.edges_to(node.id), statements, 1.0, side)
        if node.id in SMALL and (small := too_small(index, scores)) is not False:
            share = 1.0 if small else MEASURED_ONLY
            found += _by_edges(index, graph, graph.edges_to(SMALL[node.id]), statements, share, side)
    return _ranked(found)


def _same(
    index: int,
    label: str,
    own: tuple[Node, ...],
    statements: Mapping[str, tuple[Statement, ...]],
    graph: Graph,
    side: str,
) -> Iterator[tuple[str, Link]]:
    """Links of statements on the very finding: a note that states or denies it, an earlier study that had it."""
    near = dict.fromkeys(item for node in own for item in statements.get(node.id, ()))
    for item in near:
        if item.index is not None or not is_same(item, own) or _other_side(item, side) or item.assertion.hypothetical:
            continue
        node = graph.nodes[item.nodes[0]]
        if item.evidence.source is Source.PRIOR and not _tells(item, label, node):
            continue
        if item.assertion.negated and (item.of_past_only or _of_another_time(item)):
            continue
        why, relation, weight = _said_of_it(item, node)
        yield f"{node.id}={relation}", Link(index, relation, item.evidence, weight, why)


def _tells(item: Statement, label: str, node: Node) -> bool:
    """Whether an earlier finding says something of one now: not a part of the whole, nor a normal structure."""
    return node.kind is not NodeKind.STRUCTURE and item.label in ("", label)


def _said_of_it(item: Statement, node: Node) -> tuple[str, Relation, float]:
    """Why, how and how much a statement on the very finding counts."""
    who, share = item.evidence.source, factor(item, node)
    if who is Source.PRIOR:
        return "An earlier study showed the same.", Relation.SUPPORTS, BEFORE * share
    if item.assertion.negated:
        return f"The {who} denies the finding.", Relation.CONTRADICTS, DENIED * share
    if item.assertion.uncertain:
        return f"The {who} suspects it, or asks for it.", Relation.SUPPORTS, SUSPECTED * share / UNCERTAIN
    if item.assertion.historical:
        return f"The {who} tells of it in the past.", Relation.SUPPORTS, SAME * share
    return f"The {who} names the same.", Relation.SUPPORTS, SAME * share


def _of_another_time(item: Statement) -> bool:
    return item.days is not None and item.days > DENIAL_DAYS


def _other_side(item: Statement, side: str) -> bool:
    """Whether a statement on a finding is of the other side; symptoms may be on the other one rightly."""
    return {item.side, side} == {"left", "right"}


def is_same(item: Statement, own: tuple[Node, ...]) -> bool:
    """Whether a statement is about a finding itself.

    It is if one of the two is a kind of the other: "no intracranial haemorrhage" is about a subdural one, "subdural
    haematoma" is about an intracranial haemorrhage; "no epidural haematoma" is not about a subdural one.
    """
    if not own or not item.nodes:
        return False
    return item.nodes[0] in {node.id for node in own} or own[0].id in item.nodes


def _by_edges(
    index: int,
    graph: Graph,
    edges: Iterable[Edge],
    statements: Mapping[str, tuple[Statement, ...]],
    share: float,
    side: str,
) -> Iterator[tuple[str, Link]]:
    for edge in edges:
        if edge.relation not in _RELATIONS:
            continue
        for item in statements.get(edge.subject, ()):
            node = graph.nodes[edge.subject]
            if item.index == index or (node.kind is NodeKind.FINDING and _other_side(item, side)):
                continue
            link = _by_edge(index, edge, item, node, share)
            if link is not None:
                yield f"{edge.subject}={link.relation}", link


def _by_edge(index: int, edge: Edge, item: Statement, node: Node, share: float) -> Link | None:
    why = edge.why if share == 1.0 else f"If it is too small: {edge.why}"
    weight = edge.weight * factor(item, node) * share
    if item.assertion.negated:
        if not _is_telling(edge, item, node):
            return None
        absent = f"Absent, which speaks weakly against it. {why}"
        return Link(index, Relation.CONTRADICTS, item.evidence, weight * ABSENT, absent)
    if not holds(edge.condition, item.value):
        return None
    return Link(
        index,
        _RELATIONS[edge.relation],
        item.evidence,
        weight,
        f"Suspected only. {why}" if item.assertion.uncertain else why,
    )


def _is_telling(edge: Edge, item: Statement, node: Node) -> bool:
    """Whether it says something that a statement is denied: of a symptom that the finding should have made now."""
    if edge.relation is not EdgeRelation.SUPPORTS or edge.condition is not None or edge.object in QUIET:
        return False
    return node.kind is NodeKind.SYMPTOM and not item.of_past_only and not item.assertion.uncertain


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
