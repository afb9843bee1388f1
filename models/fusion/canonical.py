"""A case in one order, and with what the reason of its order states: the order in which things came decides nothing.

Facts, values and earlier findings come from a database in any order. Where two of them count the same, what is taken
must not depend on that. Findings stay as they are: others refer to them by their index. Pure.
"""

from __future__ import annotations

import math
from dataclasses import replace

from models.fusion.contracts import Case, Observed, PriorFinding, StatedFact
from models.fusion.reading import ORDER, instant
from models.fusion.statements import order_facts
from models.fusion.times import days_between

#: HL7 table 0085: a corrected value counts before a final one, and that before others, of the same time.
_STATUS = {"C": 0, "F": 1}

_Key = tuple[float | str | int | bool, ...]


def canonical(case: Case) -> Case:
    """Sort facts, values and earlier findings; the newest notes and the nearest values first, each thing once."""
    return replace(
        case,
        facts=tuple(dict.fromkeys(sorted(case.facts, key=_of_fact))),
        observations=tuple(
            sorted(dict.fromkeys(case.observations), key=lambda item: _of_value(case, item), reverse=True)
        ),
        priors=tuple(sorted(case.priors, key=_of_prior)),
    )


def with_order(case: Case) -> Case:
    """Put what the order's reason states among the facts, so that scores read it as they read a note."""
    stated = tuple(StatedFact(fact, ORDER, written_at=case.studied_at) for fact in order_facts(case))
    return replace(case, facts=(*case.facts, *stated)) if stated else case


def _of_fact(item: StatedFact) -> _Key:
    fact = item.fact
    written = instant(item.written_at)
    newest = (-written.toordinal(), -written.hour * 3600 - written.minute * 60 - written.second)
    return (*newest, item.document, fact.start, fact.end, fact.code.scheme, fact.code.value, repr(item))


def _of_value(case: Case, item: Observed) -> _Key:
    """The nearest last, because of equal ones the last counts."""
    apart = days_between(item.observed_at, case.studied_at)
    return (
        math.inf if apart is None else apart,
        _STATUS.get(item.status.strip().upper(), 2),
        item.reference,
        repr(item),
    )


def _of_prior(item: PriorFinding) -> _Key:
    studied = instant(item.studied_at)
    return studied.toordinal(), studied.hour * 3600 + studied.minute * 60 + studied.second, item.study_uid, repr(item)
