"""Which models a series gets, where its results go, and how urgent it is. Pure: rules and facts in, decisions out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from node.decide.conditions import CONDITIONS, Facts
from node.decide.priority import most_urgent
from node.settings import Rule


@dataclass(frozen=True, slots=True)
class Wanted:
    """One model that is to run on one series. Empty ``destinations``: every destination.

    ``priority`` is the most urgent of order and rules, ``rule_priority`` what the rules alone ask for: it holds also
    when the order is changed or cancelled.
    """

    model: str
    rule: str
    destinations: tuple[str, ...]
    priority: str
    rule_priority: str = "ROUTINE"


def applies(rule: Rule, facts: Facts) -> bool:
    """Whether all conditions of a rule hold."""
    return all(CONDITIONS[name](facts, wanted) for name, wanted in rule.when.items())


def decide(rules: Sequence[Rule], facts: Facts) -> list[Wanted]:
    """Return what the rules want, each model once.

    Every rule that applies counts. If several name the same model, the first gives its name, destinations add up and
    the most urgent priority holds.
    """
    wanted: dict[str, Wanted] = {}
    for rule in rules:
        if not applies(rule, facts):
            continue
        for model in rule.run:
            wanted[model] = _join(wanted.get(model), model, rule, facts)
    return list(wanted.values())


def _join(before: Wanted | None, model: str, rule: Rule, facts: Facts) -> Wanted:
    if before is None:
        own = most_urgent(rule.priority)
        return Wanted(model, rule.name, rule.send, most_urgent(facts.order_priority, own), own)
    everywhere = not before.destinations or not rule.send
    destinations = () if everywhere else tuple(dict.fromkeys((*before.destinations, *rule.send)))
    priorities = (most_urgent(before.priority, rule.priority), most_urgent(before.rule_priority, rule.priority))
    return Wanted(model, before.rule, destinations, *priorities)
