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
    when the order is changed or cancelled. ``model`` is a name, or ``name@version`` where the rule pins the version;
    with ``shadow`` it runs and is recorded, and nothing of it is published.
    """

    model: str
    rule: str
    destinations: tuple[str, ...]
    priority: str
    rule_priority: str = "ROUTINE"
    shadow: bool = False


def base_name(model: str) -> str:
    """Return a model's name without the version that a rule pins."""
    return model.partition("@")[0]


def pinned_version(model: str) -> str:
    """Return the version that a rule pins, "" where it pins none."""
    return model.partition("@")[2]


def applies(rule: Rule, facts: Facts) -> bool:
    """Whether all conditions of a rule hold."""
    return all(CONDITIONS[name](facts, wanted) for name, wanted in rule.when.items())


def decide(rules: Sequence[Rule], facts: Facts) -> list[Wanted]:
    """Return what the rules want: each model published once, and beside these what runs in shadow.

    Every rule that applies counts. If several name the same model, the first gives its name and the version,
    destinations add up and the most urgent priority holds. In shadow run other models and other versions; what is
    published as it is needs no shadow.
    """
    applying = [rule for rule in rules if applies(rule, facts)]
    wanted: dict[str, Wanted] = {}
    for rule in applying:
        for model in rule.run:
            name = base_name(model)
            wanted[name] = _join(wanted.get(name), model, rule, facts)
    published = {item.model for item in wanted.values()}
    shadows = {model: rule.name for rule in reversed(applying) for model in rule.shadow if model not in published}
    return [*wanted.values(), *(Wanted(model, rule, (), "ROUTINE", shadow=True) for model, rule in shadows.items())]


def _join(before: Wanted | None, model: str, rule: Rule, facts: Facts) -> Wanted:
    if before is None:
        own = most_urgent(rule.priority)
        return Wanted(model, rule.name, rule.send, most_urgent(facts.order_priority, own), own)
    everywhere = not before.destinations or not rule.send
    destinations = () if everywhere else tuple(dict.fromkeys((*before.destinations, *rule.send)))
    priorities = (most_urgent(before.priority, rule.priority), most_urgent(before.rule_priority, rule.priority))
    return Wanted(before.model, before.rule, destinations, *priorities)
