"""What a case states, from every source, in one form: which concepts, how sure, how old, with what value. Pure."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from models import notes
from models.facts import Assertion, Experiencer, NoteFact
from models.fusion.contracts import Case, Evidence, PriorFinding, Source, StatedFact
from models.fusion.graph import Graph
from models.fusion.knowledge_types import FAMILY, PLACES, Node, NodeKind
from models.fusion.knowledge_values import Value
from models.fusion.times import days_between, happened_at, is_exact
from models.fusion.wording import MAX_TEXT, day, describe, describe_fact, describe_observed, size_mm

#: Bounds of what is looked at; a case within them is assessed whole.
MAX_FACTS = 2_000
MAX_OBSERVATIONS = 20_000
MAX_PRIORS = 500
MAX_FINDINGS = 200
MAX_REASON = 1_000
MAX_VALUE = 1e7

#: Days within which what a note says counts as acute: the same illness that the study was made for.
ACUTE_DAYS = 2.0

#: How much a statement counts that is not one of now (judged, no publication): docs/fusion.md.
UNCERTAIN = 0.5
HYPOTHETICAL = 0.0  # "return if feverish" says nothing of now
HISTORICAL = {
    NodeKind.SYMPTOM: 0.4,
    NodeKind.LAB: 0.4,
    NodeKind.MEDICATION: 0.5,
    NodeKind.FINDING: 0.6,
}
HISTORICAL_OTHER = 0.8

#: Factor by age in days, by kind of node: the first row whose bound is not exceeded; unknown age has a row of its own.
RECENCY: dict[NodeKind, tuple[tuple[float, float], ...]] = {
    NodeKind.SYMPTOM: ((7, 1.0), (30, 0.8), (365, 0.5), (math.inf, 0.3)),
    NodeKind.LAB: ((2, 1.0), (7, 0.8), (30, 0.5), (math.inf, 0.2)),
    NodeKind.MEDICATION: ((90, 1.0), (365, 0.7), (math.inf, 0.4)),
    NodeKind.PROCEDURE: ((28, 1.0), (365, 0.6), (math.inf, 0.4)),
    NodeKind.FINDING: ((90, 1.0), (365, 0.8), (math.inf, 0.6)),
}
UNKNOWN_AGE = 0.8


PRESENT = Assertion()
NO_VALUE = Value()


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that is known.

    Parameters
    ----------
    nodes
        Concepts that it names, the most specific first.
    assertion
        How it is stated; of values and images: present.
    days
        Age at the time of the study, None where it is not known; never negative.
    index
        Of the finding of this study, None for everything else.
    group
        What it came in, so that statements of one note are told from those of two: a document number.
    when
        Time of its own that a note gives, for people: "2024", "2025-09", "about 2023-03"; "" where it gives none.
    began
        Days from the time that a note gives for it to the study, also of what is present; None without such a time.
    label
        Of an earlier finding of the same model: what tells the part of a structure from the whole; else "".
    """

    nodes: tuple[str, ...]
    evidence: Evidence
    assertion: Assertion = PRESENT
    days: float | None = None
    value: Value = NO_VALUE
    side: str = ""
    index: int | None = None
    group: str = ""
    when: str = ""
    began: float | None = None
    label: str = ""

    @property
    def acute(self) -> bool:
        """Whether it is stated as present, lately or in the order, and not said to have begun long before."""
        fresh = self.evidence.source is Source.ORDER or (self.days is not None and self.days <= ACUTE_DAYS)
        return fresh and self.assertion.present and (self.began is None or self.began <= ACUTE_DAYS)

    @property
    def of_past_only(self) -> bool:
        """Whether it denies the past ("no history of stroke", "no prior embolism") and says nothing of now."""
        return self.assertion.negated and self.assertion.historical and not self.when


def factor(statement: Statement, node: Node) -> float:
    """How much a statement counts for what an edge says of one of its concepts: 0 to 1."""
    said = statement.assertion
    share = UNCERTAIN if said.uncertain else 1.0
    share *= HYPOTHETICAL if said.hypothetical else 1.0
    share *= HISTORICAL.get(node.kind, HISTORICAL_OTHER) if said.historical else 1.0
    return share * _recency(statement.days, node.kind)


def _recency(days: float | None, kind: NodeKind) -> float:
    rows = RECENCY.get(kind)
    if rows is None:
        return 1.0
    if days is None:
        return UNKNOWN_AGE
    return next(share for bound, share in rows if days <= bound)


def place_of(case: Case) -> str:
    """Name the part of the body that the images show, as patterns name it; "" for another one."""
    part = case.body_part.strip().upper()
    return next((name for name, parts in PLACES.items() if part in parts), "")


def gather(case: Case, graph: Graph) -> tuple[Statement, ...]:
    """Everything that a case states and the graph knows, in a fixed order: images, notes, labs, person, priors."""
    place = place_of(case)
    values: list[Statement] = []
    others: list[Statement] = []
    for item in _facts(case, graph, place):
        if item.nodes:
            (values if item.value.number is not None and _is_value(item, graph) else others).append(item)
    labs = [item for item in _observations(case, graph) if item.nodes]
    return (
        *_findings(case, graph, place),
        *others,
        *_closest(values),
        *_closest(labs),
        *_person(case, graph),
        *_priors(case, graph, place),
    )


def _findings(case: Case, graph: Graph, place: str) -> Iterator[Statement]:
    for index, finding in enumerate(case.findings[:MAX_FINDINGS]):
        nodes = tuple(node.id for node in graph.match(finding.code, place))
        size = size_mm(finding)
        yield Statement(
            nodes=nodes,
            evidence=Evidence(Source.IMAGE, describe(finding), finding.label[:MAX_TEXT], finding.code, case.studied_at),
            days=0.0,
            value=Value(size, "mm") if size is not None else NO_VALUE,
            side=str(finding.side or ""),
            index=index,
        )


def _facts(case: Case, graph: Graph, place: str) -> Iterator[Statement]:
    for item in case.facts[:MAX_FACTS]:
        yield _fact(item.fact, item, case, graph, place)
    for fact in order_facts(case):
        yield _fact(fact, None, case, graph, place)


def order_facts(case: Case) -> tuple[NoteFact, ...]:
    """What the reason of the order states."""
    reason = case.order_reason[:MAX_REASON]
    return notes.analyze(reason).facts if reason.strip() else ()


def _fact(fact: NoteFact, stated: StatedFact | None, case: Case, graph: Graph, place: str) -> Statement:
    """Make the statement of one fact: of a note, or of the order's reason where ``stated`` is None."""
    who = fact.assertion.experiencer
    nodes = () if who is Experiencer.OTHER else graph.match(fact.code, FAMILY if who is Experiencer.FAMILY else place)
    written = stated.written_at if stated else case.studied_at
    said_at = happened_at(fact.when, written)
    # What is stated as present is so when the note is written, whenever it began; a number is of its own time.
    happened = None if fact.assertion.present and fact.quantity is None else said_at
    at = happened if happened is None or is_exact(fact.when) else None
    source = Source.NOTE if stated else Source.ORDER
    where = f"note of {day(written)}" if stated else "reason of the order"
    return Statement(
        nodes=tuple(node.id for node in nodes),
        evidence=Evidence(
            source=source,
            text=describe_fact(fact, where),
            reference=f"{stated.document[:64]}:{fact.start}-{fact.end}" if stated else "order",
            code=fact.code,
            at=at if happened else written,
        ),
        assertion=Assertion(
            negated=fact.assertion.negated,
            uncertain=fact.assertion.uncertain,
            historical=fact.assertion.historical,
            hypothetical=fact.assertion.hypothetical,
        ),
        days=days_between(happened or written, case.studied_at),
        value=_quantity(fact),
        side=fact.side,
        group=stated.document if stated else "order",
        when=_when(fact, said_at),
        began=days_between(said_at, case.studied_at),
    )


def _when(fact: NoteFact, said_at: dt.datetime | None) -> str:
    if said_at is None:
        return ""
    return f"about {said_at:%Y-%m}" if fact.when.startswith("-") else fact.when


def _quantity(fact: NoteFact) -> Value:
    given = fact.quantity
    if given is None or not math.isfinite(given.value):
        return NO_VALUE
    return Value(given.value, given.unit, comparator=given.comparator)


def _observations(case: Case, graph: Graph) -> Iterator[Statement]:
    for item in case.observations[:MAX_OBSERVATIONS]:
        nodes = tuple(node.id for node in graph.match(item.code))
        if nodes:
            yield Statement(
                nodes=nodes,
                evidence=Evidence(
                    Source.LAB, describe_observed(item), item.reference[:64], item.code, item.observed_at
                ),
                days=days_between(item.observed_at, case.studied_at),
                value=Value(_believed(item.value), item.unit, item.flag, item.reference_range),
                group=item.reference,
            )


def _believed(value: float | None) -> float | None:
    """A laboratory value as given; what is negative or beyond :data:`MAX_VALUE` is an error of its sender."""
    return value if value is not None and 0 <= value <= MAX_VALUE else None


def _person(case: Case, graph: Graph) -> Iterator[Statement]:
    age, sex = case.demographics.age, case.demographics.sex
    if age is not None and math.isfinite(age) and "age" in graph.nodes:
        said = Evidence(Source.DEMOGRAPHICS, f"age {math.floor(age)}", "age")
        yield Statement(("age",), said, days=0.0, value=Value(age, "a"))
    name = {"M": "male", "F": "female"}.get(sex, "")
    if name in graph.nodes:
        yield Statement((name,), Evidence(Source.DEMOGRAPHICS, name, "sex"), days=0.0)


def _priors(case: Case, graph: Graph, place: str) -> Iterator[Statement]:
    for item in case.priors[:MAX_PRIORS]:
        size = size_mm(item.finding)
        yield Statement(
            nodes=tuple(node.id for node in graph.match(item.finding.code, place)),
            evidence=prior_evidence(item),
            days=days_between(item.studied_at, case.studied_at),
            value=Value(size, "mm") if size is not None else NO_VALUE,
            side=str(item.finding.side or ""),
            group=item.study_uid,
            label=item.finding.label if item.model == case.model else "",
        )


def prior_evidence(item: PriorFinding) -> Evidence:
    """Evidence of an earlier study."""
    text = f"{describe(item.finding)} (study of {day(item.studied_at)})"
    return Evidence(Source.PRIOR, text, item.study_uid[:64], item.finding.code, item.studied_at)


def _is_value(item: Statement, graph: Graph) -> bool:
    return graph.nodes[item.nodes[0]].kind is NodeKind.LAB


def _closest(items: Iterable[Statement]) -> list[Statement]:
    """Of each laboratory value the one nearest to the study, of several the last that was given."""
    best: dict[str, Statement] = {}
    for item in items:
        known = best.get(item.nodes[0])
        if known is None or _distance(item) <= _distance(known):
            best[item.nodes[0]] = item
    return list(best.values())


def _distance(item: Statement) -> float:
    return math.inf if item.days is None else item.days
