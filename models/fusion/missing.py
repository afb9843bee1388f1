"""What was not there and would have mattered, and what is recommended. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from models.fusion.contracts import Case, Score
from models.fusion.graph import Graph
from models.fusion.knowledge_types import Edge, EdgeRelation, NodeKind
from models.fusion.knowledge_values import Value, holds
from models.fusion.links import SMALL, leading, too_small
from models.fusion.scores import NOT_APPLICABLE
from models.fusion.statements import gather, place_of
from models.fusion.triage import certain, sure
from models.fusion.wording import size_mm

MAX_MISSING = 15
MAX_FOLLOW_UP = 10

#: Values whose edges weigh less are not missed.
MATTERS = 0.4

#: Least confidence of a finding for which something is recommended.
SURE = 0.5

#: Scores whose statement says what is to be done.
MANAGING = frozenset({"fleischner-2017", "lung-rads-2022", "anticoagulant-haemorrhage"})

#: Categories of these that ask for nothing.
NOTHING_TO_DO = frozenset({"", NOT_APPLICABLE, "not anticoagulated", "not known"})

#: What the graph recommends in general and these scores say for this case, or say that it does not hold here.
SAID_BY: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "fu_nodule_guideline": frozenset({"fleischner-2017", "lung-rads-2022"}),
        "fu_nodule_large": frozenset({"fleischner-2017", "lung-rads-2022"}),
        "fu_crb65": frozenset({"curb-65", "crb-65"}),
        "fu_reversal": frozenset({"anticoagulant-haemorrhage"}),
    }
)

#: What is not recommended any more where a value is known.
MEASURED_BY: Mapping[str, str] = MappingProxyType({"fu_thyroid": "tsh"})

#: Findings whose growth, and so an earlier study, decides what is to be done.
GROWING = frozenset({"lung_nodule", "hippocampus", "cerebral_aneurysm", "pleural_effusion"})


def missing(case: Case, graph: Graph, scores: Iterable[Score]) -> tuple[str, ...]:
    """Name what the case does not have and what would have mattered to its findings.

    Returns
    -------
    tuple of str
        Short phrases: "age not known", "no laboratory value: D-dimer", "CURB-65: urea". Nothing for images without
        findings. Of a record that is withheld it says why, and not what it may hold.
    """
    withheld = (case.withheld,) if case.withheld else ()
    if not case.findings:
        return withheld
    edges = () if withheld else _edges(case, graph)
    said = [
        *withheld,
        *(() if withheld else _record(case, edges, graph)),
        *(() if withheld else _laboratory(case, edges, graph)),
        *(f"{score.title}: {name}" for score in scores if score.category != NOT_APPLICABLE for name in score.missing),
    ]
    return tuple(dict.fromkeys(said))[:MAX_MISSING]


def _edges(case: Case, graph: Graph) -> tuple[Edge, ...]:
    """What could say something of a finding."""
    targets: dict[str, None] = {}
    for index in leading(case, graph):
        for node in graph.match(case.findings[index].code, place_of(case)):
            targets |= dict.fromkeys((node.id, SMALL.get(node.id, node.id)))
    return tuple(edge for name in targets for edge in graph.edges_to(name))


def _record(case: Case, edges: tuple[Edge, ...], graph: Graph) -> Iterator[str]:
    kinds = {graph.nodes[edge.subject].kind for edge in edges}
    if not case.facts and kinds - {NodeKind.LAB, NodeKind.DEMOGRAPHIC}:
        yield "no note about this examination"
    subjects = {edge.subject for edge in edges}
    if case.demographics.age is None and "age" in subjects:
        yield "age not known"
    if not case.demographics.sex and subjects & {"male", "female"}:
        yield "sex not known"
    found = {
        node.id for index in leading(case, graph) for node in graph.match(case.findings[index].code, place_of(case))
    }
    if not case.priors and found & GROWING:
        yield "no earlier study"


def _laboratory(case: Case, edges: tuple[Edge, ...], graph: Graph) -> Iterator[str]:
    """Laboratory values that weigh enough for a finding, the heaviest first."""
    known = {name for item in gather(case, graph) if item.value.number is not None for name in item.nodes}
    wanted: dict[str, float] = {}
    for edge in edges:
        if graph.nodes[edge.subject].kind is NodeKind.LAB and edge.weight >= MATTERS and edge.subject not in known:
            wanted[edge.subject] = max(wanted.get(edge.subject, 0.0), edge.weight)
    names = [graph.nodes[name].meaning for name in sorted(wanted, key=lambda name: (-wanted[name], name))]
    if names:
        yield f"no value of: {', '.join(names[:6])}"


def follow_up(case: Case, graph: Graph, scores: Iterable[Score]) -> tuple[str, ...]:
    """What the scores and the graph recommend for the findings, each with its source in brackets."""
    known = tuple(scores)
    managed = [score for score in known if score.name in MANAGING and score.category not in NOTHING_TO_DO]
    said = [f"{score.statement} [{score.citation}]" for score in certain(case, managed)]
    needless = _needless(case, graph, known)
    for index in leading(case, graph):
        if sure(case.findings[index], SURE):
            said += _recommended(index, case, graph, known, needless)
    return tuple(dict.fromkeys(said))[:MAX_FOLLOW_UP]


def _answers(score: Score) -> bool:
    """Whether a score says something for this case; that Fleischner does not apply is an answer for nodules too."""
    if score.category == NOT_APPLICABLE:
        return score.name == "fleischner-2017"
    return score.category not in ("", "not known") or score.value is not None


def _needless(case: Case, graph: Graph, scores: tuple[Score, ...]) -> frozenset[str]:
    """What the graph recommends and a score or a value of this case has answered."""
    answered = {score.name for score in scores if _answers(score)}
    known = {name for item in gather(case, graph) if item.value.number is not None for name in item.nodes}
    by_score = {name for name, by in SAID_BY.items() if by & answered}
    return frozenset(by_score | {name for name, by in MEASURED_BY.items() if by in known})


def _recommended(
    index: int, case: Case, graph: Graph, scores: tuple[Score, ...], needless: frozenset[str]
) -> Iterator[str]:
    finding = case.findings[index]
    size = size_mm(finding)
    value = Value(size, "mm") if size is not None else Value()
    for node in graph.match(finding.code, place_of(case)):
        names = [node.id]
        if node.id in SMALL and too_small(index, scores):
            names.append(SMALL[node.id])
        for edge in (edge for name in names for edge in graph.edges_from(name)):
            if edge.relation is not EdgeRelation.RECOMMENDS or edge.object in needless:
                continue
            if holds(edge.condition, value):
                yield f"{graph.nodes[edge.object].meaning}. [{edge.source}]"
