"""Chinese notes give the same facts as their English twins, whatever character set they came in."""

from __future__ import annotations

from collections import Counter

import pytest

from models.facts import Assertion, FactKind, NoteFact, Quantity
from models.notes import analyze
from tests.models.notes.twins import ALL, Twins

Telling = tuple[FactKind, str, str, Assertion, Quantity | None, str, str]


def telling(fact: NoteFact) -> Telling:
    return fact.kind, fact.code.value, fact.section, fact.assertion, fact.quantity, fact.when, fact.side


def facts(text: str) -> Counter[Telling]:
    return Counter(telling(fact) for fact in analyze(text).facts)


@pytest.mark.parametrize("twins", ALL, ids=lambda twins: twins.name)
def test_twins_tell_the_same(twins: Twins) -> None:
    english, chinese = facts(twins.english), facts(twins.chinese)

    assert english - chinese == chinese - english == Counter()
    assert english.total() >= 12
    assert (analyze(twins.english).language, analyze(twins.chinese).language) == ("en", "zh")


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8"])
@pytest.mark.parametrize("twins", ALL, ids=lambda twins: twins.name)
def test_a_character_set_changes_nothing(twins: Twins, encoding: str) -> None:
    arrived = twins.chinese.encode(encoding).decode(encoding)

    assert facts(arrived) == facts(twins.english)


def test_between_them_the_twins_use_everything_a_note_can_say() -> None:
    told = [fact for twins in ALL for fact in analyze(twins.chinese).facts]

    assert {fact.kind for fact in told} == set(FactKind)
    assert {fact.side for fact in told} == {"left", "right", "both", ""}
    for property_ in ("negated", "uncertain", "historical", "hypothetical"):
        assert any(getattr(fact.assertion, property_) for fact in told), property_
    assert {fact.assertion.experiencer.value for fact in told} == {"patient", "family", "other"}
    assert {"mm", "{pack}.a", "umol/L", "mm[Hg]", "{score}", "a"} <= {
        fact.quantity.unit for fact in told if fact.quantity
    }
    assert {"2015", "2020-03", "-P3Y", "-P2W", "-P1D"} <= {fact.when for fact in told}
