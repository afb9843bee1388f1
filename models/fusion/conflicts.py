"""Two sources that cannot both be right, or that a reader should see side by side. Pure.

What is compared, and what is not: docs/fusion.md. That a note states something which the images do not show is no
conflict here: a model looks for one thing, and says nothing of others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from models.fusion.contracts import Case, Conflict, Score, Source
from models.fusion.graph import Graph
from models.fusion.knowledge_types import EdgeRelation, Node, NodeKind
from models.fusion.knowledge_values import converted
from models.fusion.links import SMALL, is_same, leading, too_small
from models.fusion.statements import Statement, gather, place_of
from models.fusion.times import days_between
from models.fusion.wording import day, shows

#: Conflicts that are shown, in the order of the findings.
MAX_CONFLICTS = 20

#: Two sizes of one nodule differ by more than measurement error beyond 2.2 mm or 21 percent, whichever is more: the
#: limits of agreement of different readers on repeated CT (Kim et al., PLoS One 2016;11:e0148853). The Fleischner
#: Society takes 2 mm for growth (MacMahon et al., Radiology 2017;284:228).
SIZE_MM = 2.2
SIZE_SHARE = 0.21

#: Two notes speak of the same state if they were written within so many days.
NEAR_DAYS = 30.0

#: A value in a note and one of the laboratory within so many days are the same value; more than this share apart they
#: are not (judged: rounding and repeated samples stay below).
SAME_VALUE_DAYS = 1.0
VALUE_SHARE = 0.2

#: In days: within an hour before the study nothing is said to have come since.
HOUR = 1 / 24

_RECORD = frozenset({Source.NOTE, Source.PRIOR})

#: Least confidence of a finding that is set against a note.
SURE = 0.5


def conflicts(case: Case, graph: Graph, scores: Iterable[Score] = ()) -> tuple[Conflict, ...]:
    """Find what does not fit together.

    Returns
    -------
    tuple of Conflict
        Those of findings first, in their order; then notes against notes, and notes against the laboratory. At most
        :data:`MAX_CONFLICTS`.
    """
    known = tuple(scores)
    statements = gather(case, graph)
    images = [item for item in statements if item.index is not None]
    notes = [item for item in statements if item.evidence.source is Source.NOTE]
    found: list[Conflict] = []
    for index in leading(case, graph):
        own = graph.match(case.findings[index].code, place_of(case))
        about = [item for item in statements if item.evidence.source in _RECORD and is_same(item, own)]
        found += _of_finding(images[index], own, about, [item for item in images if is_same(item, own)], case)
        found += _measured(images[index], own, notes, known)
    found += _between_notes(case, graph, notes)
    found += _with_laboratory(graph, notes, [item for item in statements if item.evidence.source is Source.LAB])
    return tuple(dict.fromkeys(found))[:MAX_CONFLICTS]


def _of_finding(
    image: Statement, own: tuple[Node, ...], about: list[Statement], alike: list[Statement], case: Case
) -> Iterator[Conflict]:
    finding = case.findings[image.index or 0]
    if finding.confidence is not None and not finding.confidence >= SURE:
        return
    for check in (_denied, _sides, _sizes):
        conflict = check(image, own, about, alike, case)
        if conflict is not None:
            yield conflict


def _denied(
    image: Statement, own: tuple[Node, ...], about: list[Statement], alike: list[Statement], case: Case
) -> Conflict | None:
    """A note says that there is none."""
    said = [item for item in about if item.assertion.negated and not (_hedged(item) or item.of_past_only)]
    item = _latest(said)
    if item is None:
        return None
    before = _latest([prior for prior in about if prior.evidence.source is Source.PRIOR])
    if _long_ago(item) and before is None:
        text = (
            f"A note tells of no {_name(own)} in {_said_when(item)}; {shows(case, now=True)} {image.evidence.text}: "
            "it has come since, or was not seen then."
        )
        return Conflict(text, (image.evidence, item.evidence), image.index, change=True)
    text = f"A note ({_said_when(item)}) says that there is no {_name(own)}; {shows(case)} {image.evidence.text}."
    if before is not None:
        text += f" An earlier study ({day(before.evidence.at)}) had it as well."
        return Conflict(text, (image.evidence, item.evidence, before.evidence), image.index)
    if item.days is not None and item.days > HOUR:
        text += " It may have come since."
    return Conflict(text, (image.evidence, item.evidence), image.index)


def _sides(
    image: Statement, own: tuple[Node, ...], about: list[Statement], alike: list[Statement], case: Case
) -> Conflict | None:
    """A note gives the other side, and nothing that the images show is on it."""
    shown = {item.side for item in alike}
    if image.side not in ("left", "right") or "" in shown or "both" in shown:
        return None
    other = "right" if image.side == "left" else "left"
    said = [
        item
        for item in about
        if item.assertion.present and item.side and item.evidence.source is Source.NOTE and not _long_ago(item)
    ]
    if other in shown or any(item.side in (image.side, "both") for item in said):
        return None
    item = _latest([item for item in said if item.side == other])
    if item is None:
        return None
    text = f"A note ({day(item.evidence.at)}) puts {_name(own)} on the {other}; {shows(case)} it on the {image.side}."
    return Conflict(text, (image.evidence, item.evidence), image.index)


def _sizes(
    image: Statement, own: tuple[Node, ...], about: list[Statement], alike: list[Statement], case: Case
) -> Conflict | None:
    """A note gives a size that no finding of the kind has."""
    if image.value.number is None:
        return None
    sized = [item for item in about if item.evidence.source is Source.NOTE and _states(item)]
    item = _latest([item for item in sized if _length(item) is not None and item.side in ("", image.side)])
    said = _length(item) if item is not None else None
    if item is None or said is None:
        return None
    near = [other for other in alike if not _other_side(other, item) and not _other_side(item, other)]
    shown = [other.value.number for other in near if other.value.number is not None]
    if not shown or any(not sizes_differ(size, said) for size in shown):
        return None
    if abs(image.value.number - said) > min(abs(size - said) for size in shown):
        return None  # another finding of the kind is nearer to what the note says, and has the conflict
    if _long_ago(item):
        text = (
            f"A note gives {_name(own)} {said:.3g} mm in {_said_when(item)}; the images now show "
            f"{image.value.number:.3g} mm: changed by more than measurement error, if it is the same."
        )
        return Conflict(text, (image.evidence, item.evidence), image.index, change=True)
    text = (
        f"A note ({_said_when(item)}) gives {_name(own)} {said:.3g} mm; the images show "
        f"{image.value.number:.3g} mm: more than measurement error."
    )
    return Conflict(text, (image.evidence, item.evidence), image.index)


def sizes_differ(one: float, other: float) -> bool:
    """Whether two lengths in mm differ by more than measurement error."""
    return abs(one - other) > max(SIZE_MM, SIZE_SHARE * max(one, other))


def _measured(
    image: Statement, own: tuple[Node, ...], notes: list[Statement], scores: tuple[Score, ...]
) -> Iterator[Conflict]:
    """A note says that a structure is too small, and the measurement says that it is not."""
    names = {SMALL[node.id] for node in own if node.id in SMALL}
    if not names or too_small(image.index or 0, scores) is not False:
        return
    also = {"hippocampal_sclerosis"} if "hippocampal_atrophy" in names else set()
    said = [
        item
        for item in notes
        if item.nodes[0] in names | also and item.assertion.present and not _other_side(item, image)
    ]
    item = _latest(said)
    if item is not None:
        text = f"A note states {item.evidence.text}; the measured volume is not small for the age."
        yield Conflict(text, (image.evidence, item.evidence), image.index)


def _other_side(item: Statement, image: Statement) -> bool:
    return bool(item.side and image.side) and item.side not in (image.side, "both")


def _between_notes(case: Case, graph: Graph, notes: list[Statement]) -> Iterator[Conflict]:
    """Two notes, near in time, of which one states and one denies what matters to a finding."""
    relevant = _relevant(case, graph)
    by_concept: dict[str, list[Statement]] = {}
    for item in notes:
        if item.nodes[0] in relevant and not _hedged(item) and not item.assertion.historical:
            by_concept.setdefault(item.nodes[0], []).append(item)
    for name, items in by_concept.items():
        stated, denied = (
            _latest([i for i in items if i.assertion.present]),
            _latest([i for i in items if i.assertion.negated]),
        )
        if stated and denied and stated.group != denied.group and _near(stated, denied):
            text = (
                f"One note ({day(stated.evidence.at)}) states {graph.nodes[name].meaning.lower()}, "
                f"another ({day(denied.evidence.at)}) denies it."
            )
            yield Conflict(text, (stated.evidence, denied.evidence))


def _relevant(case: Case, graph: Graph) -> frozenset[str]:
    """Concepts that say something of a finding, and the findings themselves."""
    names: set[str] = set()
    for index in leading(case, graph):
        for node in graph.match(case.findings[index].code, place_of(case)):
            for target in (node.id, SMALL.get(node.id, node.id)):
                names |= {target, *(edge.subject for edge in graph.edges_to(target) if _says(edge.relation))}
    return frozenset(names)


def _says(relation: EdgeRelation) -> bool:
    return relation is not EdgeRelation.RECOMMENDS


def _near(one: Statement, other: Statement, days: float = NEAR_DAYS) -> bool:
    """Whether both are known to be from the same time."""
    between = days_between(one.evidence.at, other.evidence.at)
    return between is not None and between <= days


def _with_laboratory(graph: Graph, notes: list[Statement], labs: list[Statement]) -> Iterator[Conflict]:
    """A value in a note that is not the laboratory's of the same day."""
    measured = {item.nodes[0]: item for item in labs}
    for item in notes:
        lab = measured.get(item.nodes[0])
        if lab is None or graph.nodes[item.nodes[0]].kind is not NodeKind.LAB or not item.assertion.present:
            continue
        said = converted(item.value.number, item.value.unit, lab.value.unit)
        if said is None or lab.value.number is None or not math.isfinite(lab.value.number) or item.value.comparator:
            continue
        if _near(item, lab, SAME_VALUE_DAYS) and abs(said - lab.value.number) > VALUE_SHARE * max(
            abs(said), abs(lab.value.number)
        ):
            text = (
                f"A note gives {graph.nodes[item.nodes[0]].meaning} {said:.3g}, the laboratory {lab.value.number:.3g}."
            )
            yield Conflict(text, (item.evidence, lab.evidence))


def _long_ago(item: Statement) -> bool:
    """Whether a note tells of a time so long before the study that both it and the images may be right."""
    return item.days is not None and item.days > NEAR_DAYS


def _said_when(item: Statement) -> str:
    return item.when or day(item.evidence.at)


def _states(item: Statement) -> bool:
    return item.assertion.present or (item.assertion.historical and not item.assertion.negated)


def _hedged(item: Statement) -> bool:
    return item.assertion.uncertain or item.assertion.hypothetical


def _latest(items: list[Statement]) -> Statement | None:
    """The statement nearest to the study; without times the last."""
    best: Statement | None = None
    for item in items:
        if best is None or _age(item) <= _age(best):
            best = item
    return best


def _age(item: Statement) -> float:
    return math.inf if item.days is None else item.days


def _length(item: Statement) -> float | None:
    """Size in mm that a note gives; a bound ("below 5 mm") is none."""
    if item.value.comparator:
        return None
    length = converted(item.value.number, item.value.unit, "mm")
    return length if length is not None and length > 0 else None


def _name(own: tuple[Node, ...]) -> str:
    return own[0].meaning[0].lower() + own[0].meaning[1:]
