"""The same statements give the same orders, notes and values, whatever order they come in."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.records.engine import Records
from tests.node.hl7.landing import landed, rows_of
from tests.stores import empty

PID = "PID|1||4711^^^HOSP||Doe^Jane||19700102|F"
FIRST = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
EXAMPLES = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Records]:
    """Give a record store that no example changes: each takes its work back."""
    records = empty(tmp_path_factory.mktemp("any") / "records.sqlite")
    yield records
    records.close()


def message(kind: str, number: int, *segments: str) -> bytes:
    """Return a message that was sent ``number`` minutes after the first."""
    at = (FIRST + dt.timedelta(minutes=number)).strftime("%Y%m%d%H%M%S+0000")
    msh = f"MSH|^~\\&|RIS|HOSP|OVERREAD||{at}||{kind}|C{number}|P|2.5.1"
    return "\r".join((msh, PID, *segments, "")).encode()


def outcome(store: Records, raws: Sequence[bytes]) -> tuple[list[Any], ...]:
    """Return what comes of messages."""
    with landed(store, raws) as session:
        return rows_of(session)


# ------------------------------------------------------------------------------------------------ what may be said

_words = st.sampled_from(["", "headache", "fall", "memory loss"])


@st.composite
def order_messages(draw: st.DrawFn, number: int) -> bytes:
    which = draw(st.sampled_from("12"))
    placer, filler = (
        draw(st.sampled_from([f"P{which}", f"P{which}^OE"])),
        draw(st.sampled_from([f"F{which}", f"F{which}^RIS"])),
    )
    shown = draw(st.sampled_from(["placer", "filler", "both"]))
    numbers = f"{placer if shown != 'filler' else ''}|{filler if shown != 'placer' else ''}"
    control = draw(st.sampled_from(["NW", "XO", "CA", "NA", "HD", "RP", "UC", "SC|{}||IP", "SC|{}||CA", "SC|{}"]))
    code, _, rest = control.partition("|")
    orc = f"ORC|{code}|{numbers}" + (rest.replace("{}", "") if rest else "")
    segments = [orc]
    if draw(st.booleans()):
        procedure, priority = (
            draw(st.sampled_from(["X^Head^L", "Y^Chest^L"])),
            draw(st.sampled_from(["", "S", "A", "R"])),
        )
        obr = ["OBR", "1", *numbers.split("|"), procedure, priority, *[""] * 12]
        obr += [f"A{which}" if shown == "both" and draw(st.booleans()) else "", *[""] * 12, f"^{draw(_words)}"]
        segments.append("|".join(obr))
    return message("ORM^O01", number, *segments)


@st.composite
def note_messages(draw: st.DrawFn, number: int) -> bytes:
    document = draw(st.sampled_from(["D1", "D2"]))
    event = draw(st.sampled_from(["T01", "T02", "T03", "T04", "T08", "T09", "T10", "T11"]))
    parent = {"D1": "D0", "D2": "D1"}[document]
    content = event in ("T02", "T04", "T08", "T10")
    availability = draw(st.sampled_from(["", "CA", "OB", *(["AV"] if content else [])]))
    author = draw(st.sampled_from(["", "7^Adams^Ann"]))
    txa = f"TXA|1|CN|TX|||||{''}|{author}|||{document}|{parent}||||||{availability}"
    text = [f"OBX|1|TX|||{draw(st.sampled_from(['one', 'two', 'three']))}"] if content else []
    return message(f"MDM^{event}", number, txa, *text)


@st.composite
def value_messages(draw: st.DrawFn, number: int) -> bytes:
    obr = f"OBR|1||L{draw(st.sampled_from('12'))}|PANEL|||{draw(st.sampled_from(['20260101', '20260102']))}"
    obxs = []
    for code in draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True)):
        status = draw(st.sampled_from(["P", "F", "C", "D", "W", "X"]))
        value = draw(st.sampled_from(["1", "2.5"])) if status in "PFC" else ""
        obxs.append(
            f"OBX|1|NM|{code}||{value}|{draw(st.sampled_from(['mg', 'g']))}||{draw(st.sampled_from('HN'))}|||{status}"
        )
    return message("ORU^R01", number, obr, *obxs)


@st.composite
def traffic(draw: st.DrawFn) -> list[bytes]:
    kinds = [order_messages, note_messages, value_messages]
    return [draw(draw(st.sampled_from(kinds))(number)) for number in range(draw(st.integers(2, 10)))]


@EXAMPLES
@given(raws=traffic(), seed=st.integers(0, 2**32))
def test_messages_in_any_order_and_twice_give_the_same_rows(store: Records, raws: list[bytes], seed: int) -> None:
    choice = random.Random(seed)
    shuffled = raws + choice.sample(raws, len(raws) // 3)
    choice.shuffle(shuffled)
    assert outcome(store, shuffled) == outcome(store, raws)


@EXAMPLES
@given(raws=st.integers(2, 7).flatmap(lambda n: st.tuples(*(order_messages(number) for number in range(n)))))
def test_orders_are_the_same_forwards_and_backwards(store: Records, raws: tuple[bytes, ...]) -> None:
    assert outcome(store, raws[::-1]) == outcome(store, raws)
