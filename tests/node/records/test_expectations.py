from __future__ import annotations

from node.records.engine import Records
from node.records.expectations import expect, of_study


def test_what_a_source_says_later_takes_the_place_of_what_it_said_before(records: Records) -> None:
    with records.write() as session:
        expect(session, "1.2.3", "mpps", "1.2.9", count=1, instances=["1.2.3.1"])
    with records.write() as session:
        expect(session, "1.2.3", "mpps", "1.2.9", count=2, instances=["1.2.3.1", "1.2.3.2"], final=True)
    with records.read() as session:
        [row] = of_study(session, "1.2.3")
    assert (row.count, row.instances, row.final) == (2, ["1.2.3.1", "1.2.3.2"], True)


def test_what_is_said_twice_changes_nothing(records: Records) -> None:
    times = []
    for _ in range(2):
        with records.write() as session:
            times.append(expect(session, "1.2.3", "query", "PACS", count=7).at)
    with records.read() as session:
        assert [row.at for row in of_study(session, "1.2.3")] == times[:1]


def test_sources_stand_beside_each_other_oldest_first(records: Records) -> None:
    with records.write() as session:
        for source, reference in (("mpps", "1.2.9"), ("ian", "1.2.9"), ("ian", "1.2.8")):
            expect(session, "1.2.3", source, reference)
        expect(session, "1.2.4", "mpps", "1.2.9")
    with records.read() as session:
        found = [(row.source, row.reference) for row in of_study(session, "1.2.3")]
    assert found == [("mpps", "1.2.9"), ("ian", "1.2.9"), ("ian", "1.2.8")]


def test_an_instance_that_is_named_twice_is_expected_once(records: Records) -> None:
    with records.write() as session:
        assert expect(session, "1.2.3", "ian", "1", instances=["1.2", "1.3", "1.2"]).instances == ["1.2", "1.3"]
