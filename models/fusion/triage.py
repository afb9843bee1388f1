"""How soon a study should be read, and whether it asks for an alert, by ``critical*.tsv`` and ``priority*.tsv``.

A finding of the images gives the priority of its line, if the model is sure enough; scores, acute symptoms, the class
of the patient and what makes a finding dangerous may raise it. Nothing lowers it, and it is never below the order's.
Only a finding of the images is critical: a note alone never is. Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from models.contracts import Finding
from models.fusion.contracts import Case, Link, Priority, Relation, Score, Source, Triage
from models.fusion.graph import Graph
from models.fusion.knowledge_types import EdgeRelation, Grade, Node, NodeKind, PriorityRule
from models.fusion.knowledge_values import compare
from models.fusion.links import SMALL, leading
from models.fusion.statements import ACUTE_DAYS, MAX_FINDINGS, Statement, gather, place_of
from models.fusion.times import days_between
from models.fusion.wording import confidence, shorten

#: Reasons that are given, the weightiest first.
MAX_REASONS = 12

#: Least confidence of a finding whose scores raise the priority.
SURE = 0.5

#: A critical finding that the model is not sure enough of is read soon from this share of its confidence on (judged).
POSSIBLE = 0.5

#: What the record says must weigh so much to make a finding critical whose line says "risk": shock or ventilation with
#: a pneumothorax (judged).
CRITICAL_RISK = 0.7

RANK: Mapping[Priority, int] = MappingProxyType({Priority.STAT: 0, Priority.ASAP: 1, Priority.ROUTINE: 2})

#: What orders say (HL7 table 0485 and its older spellings, DICOM (0040,1003)).
ORDERED: Mapping[str, Priority] = MappingProxyType(
    {
        "S": Priority.STAT,
        "STAT": Priority.STAT,
        "A": Priority.ASAP,
        "ASAP": Priority.ASAP,
        "HIGH": Priority.ASAP,
        "T": Priority.ASAP,
        "P": Priority.ASAP,
        "C": Priority.ASAP,
        "R": Priority.ROUTINE,
        "ROUTINE": Priority.ROUTINE,
        "MEDIUM": Priority.ROUTINE,
        "LOW": Priority.ROUTINE,
    }
)

_TEST = re.compile(r"(>=|<=|>|<) ?(\d{1,6}(?:\.\d{1,4})?)")
_SOURCES = frozenset({Source.NOTE, Source.ORDER})

Reason = tuple[Priority, str]


def triage(case: Case, graph: Graph, scores: Iterable[Score] = (), links: Iterable[Link] = ()) -> Triage:
    """Weigh findings, record and order.

    Parameters
    ----------
    scores, links
        Of the same case.

    Returns
    -------
    Triage
        Reasons in words, without names, dates or quotations; ``critical_findings`` are indexes of ``case.findings``.
    """
    linked = tuple(links)
    graded = _graded(case, graph)
    critical = tuple(index for index, grade in graded.items() if _is_critical(index, grade, linked))
    reasons = [*_by_findings(case, graph, graded, critical), *_by_doubtful(case, graph, graded)]
    facts = _Facts(case, graph, certain(case, scores), linked, graded, gather(case, graph))
    said: set[tuple[str, str]] = set()
    for rule in sorted(graph.rules, key=lambda rule: RANK[Priority(rule.priority)]):
        texts = list(_RULES[rule.kind](rule, facts))
        if rule.kind == "score" and (rule.kind, rule.key) in said:
            continue  # of a score's thresholds the highest that is reached says it all
        if texts:
            said.add((rule.kind, rule.key))
        reasons += [(Priority(rule.priority), text) for text in texts]
    reasons += _by_order(case)
    return _settled(reasons, critical)


def ordered(said: str) -> Priority | None:
    """Read the priority of an order, None where it says nothing that is known."""
    first = re.split(r"[\^~&\s]", said.strip()[:40].upper(), maxsplit=1)[0]
    return ORDERED.get(first)


def sure(finding: Finding, least: float) -> bool:
    """Whether a finding is confident enough; one whose model gives no confidence is asserted flatly, and counts."""
    return finding.confidence is None or finding.confidence >= least


def certain(case: Case, scores: Iterable[Score]) -> tuple[Score, ...]:
    """Scores but those of findings that the model is not sure of."""
    return tuple(
        score
        for score in scores
        if score.finding is None
        or not 0 <= score.finding < len(case.findings)
        or sure(case.findings[score.finding], SURE)
    )


def _is_critical(index: int, grade: Grade, links: tuple[Link, ...]) -> bool:
    """Whether a finding is critical by its line: always, or with what the record says of this patient."""
    if grade.critical or not grade.by_risk:
        return grade.critical
    return any(
        link.finding == index and link.relation is Relation.RAISES_RISK and link.weight >= CRITICAL_RISK
        for link in links
    )


class _Facts:
    """What rules look at."""

    def __init__(
        self,
        case: Case,
        graph: Graph,
        scores: tuple[Score, ...],
        links: tuple[Link, ...],
        graded: Mapping[int, Grade],
        statements: tuple[Statement, ...],
    ) -> None:
        self.case, self.graph, self.scores, self.links, self.graded = case, graph, scores, links, graded
        self.acute = frozenset(
            name for item in statements if item.acute and item.evidence.source in _SOURCES for name in item.nodes
        )
        self.near = _near_findings(case, graph)


def _near_findings(case: Case, graph: Graph) -> frozenset[str]:
    """Concepts that the graph links to a finding of this study."""
    names: set[str] = set()
    for index in leading(case, graph):
        for node in graph.match(case.findings[index].code, place_of(case)):
            for target in {node.id, SMALL.get(node.id, node.id)}:
                names |= {edge.subject for edge in graph.edges_to(target) if edge.relation in _TELLING}
    return frozenset(names)


_TELLING = frozenset({EdgeRelation.SUPPORTS, EdgeRelation.RAISES_RISK})


def _graded(case: Case, graph: Graph) -> dict[int, Grade]:
    """The gravest line of the table for each finding that is sure enough."""
    place, graded = place_of(case), {}
    for index, finding in enumerate(case.findings[:MAX_FINDINGS]):
        grades = [graph.grades[node.id] for node in graph.match(finding.code, place) if node.id in graph.grades]
        valid = [grade for grade in grades if sure(finding, grade.confidence)]
        if valid:
            graded[index] = min(valid, key=lambda grade: (not grade.critical, RANK[Priority(grade.priority)]))
    return graded


def _by_findings(case: Case, graph: Graph, graded: Mapping[int, Grade], critical: tuple[int, ...]) -> Iterator[Reason]:
    for index, grade in sorted(graded.items(), key=lambda item: (item[0] not in critical, item[0])):
        name = _named(_own(case, graph, index, grade), case.findings[index])
        kind = f"{'critical ' if index in critical else ''}finding of the {case.seen}"
        yield Priority(grade.priority), f"{name}: {kind}. {grade.why} [{grade.source}]"


def _own(case: Case, graph: Graph, index: int, grade: Grade) -> Node:
    """The most specific concept of a finding, of which the graded one is a kind."""
    own = graph.match(case.findings[index].code, place_of(case))
    return own[0] if own else graph.nodes[grade.node]


def _by_doubtful(case: Case, graph: Graph, graded: Mapping[int, Grade]) -> Iterator[Reason]:
    """A critical finding that the model is not sure enough of: read soon, without an alert."""
    place = place_of(case)
    for index, finding in enumerate(case.findings[:MAX_FINDINGS]):
        for node in graph.match(finding.code, place):
            grade = graph.grades.get(node.id)
            if grade is None or index in graded or not grade.critical or finding.confidence is None:
                continue
            if finding.confidence >= POSSIBLE * grade.confidence:
                name = _named(_own(case, graph, index, grade), finding)
                yield Priority.ASAP, f"{name}: possible finding of the {case.seen}, below the confidence for an alert."
                break


def _named(node: Node, finding: Finding) -> str:
    sides = f", {finding.side}" if finding.side else ""
    sureness = f" ({said})" if (said := confidence(finding)) else ""
    return f"{_called(node, finding)}{sides}{sureness}"


def _called(node: Node, finding: Finding) -> str:
    """Name of a finding where it is the concept itself, which may be wider ("fibrillation or flutter")."""
    meaning, wider = finding.code.meaning.strip(), node.meaning.partition(" or ")[0].casefold()
    return shorten(meaning) if wider != node.meaning.casefold() and wider in meaning.casefold() else node.meaning


def _by_order(case: Case) -> Iterator[Reason]:
    asked = ordered(case.order_priority)
    if asked is not None and asked is not Priority.ROUTINE:
        yield asked, f"The order asks for {asked}."


def _score(rule: PriorityRule, facts: _Facts) -> Iterator[str]:
    found = _TEST.fullmatch(rule.test)
    for score in facts.scores:
        if found is None or score.name != rule.key or score.value is None or not math.isfinite(score.value):
            continue
        if compare(score.value, found[1], float(found[2])):
            yield f"{rule.why} [{rule.source}]"


def _score_category(rule: PriorityRule, facts: _Facts) -> Iterator[str]:
    wanted = [part.strip() for part in rule.test.split("|")]
    for score in facts.scores:
        if score.name == rule.key and any(_is_category(score.category, part) for part in wanted):
            yield f"{rule.why} [{rule.source}]"


def _is_category(said: str, wanted: str) -> bool:
    return said.startswith(wanted[:-1]) if wanted.endswith("*") else said == wanted


def _patient_class(rule: PriorityRule, facts: _Facts) -> Iterator[str]:
    if facts.case.patient_class.strip()[:10].upper() == rule.key:
        yield f"{rule.why} [{rule.source}]"


def _acute(rule: PriorityRule, facts: _Facts) -> Iterator[str]:
    if rule.key in facts.acute and rule.key in facts.near:
        yield f"{rule.why} It is stated by a recent note or the order. [{rule.source}]"


def _risk(rule: PriorityRule, facts: _Facts) -> Iterator[str]:
    found = _TEST.fullmatch(rule.test)
    least = float(found[2]) if found else 0.0
    for link in facts.links:
        grade = facts.graded.get(link.finding)
        if grade is None or grade.priority == Priority.ROUTINE or link.relation is not Relation.RAISES_RISK:
            continue
        if link.weight >= least and not _of_days_ago(facts, link):
            name = _own(facts.case, facts.graph, link.finding, grade).meaning
            yield f"{name}: {link.why} ({link.evidence.source})"


def _of_days_ago(facts: _Facts, link: Link) -> bool:
    """Whether a symptom that raises the risk was noted days before the study: it may have gone since."""
    code = link.evidence.code
    nodes = facts.graph.match(code) if code is not None else ()
    apart = days_between(link.evidence.at, facts.case.studied_at)
    return bool(nodes) and nodes[0].kind is NodeKind.SYMPTOM and apart is not None and apart > ACUTE_DAYS


_RULES: Mapping[str, Callable[[PriorityRule, _Facts], Iterator[str]]] = MappingProxyType(
    {
        "score": _score,
        "score_category": _score_category,
        "patient_class": _patient_class,
        "acute": _acute,
        "risk": _risk,
    }
)


def _settled(reasons: list[Reason], critical: tuple[int, ...]) -> Triage:
    """Take the highest priority; reasons for it come first, each once."""
    ranked = sorted(dict.fromkeys(reasons), key=lambda reason: RANK[reason[0]])
    priority = ranked[0][0] if ranked else Priority.ROUTINE
    texts = tuple(dict.fromkeys(text for _, text in ranked))[:MAX_REASONS]
    return Triage(priority, texts, bool(critical), critical)
