"""What the record says of a finding: by the graph's edges, weighed by how, when and by whom it is stated."""

from __future__ import annotations

import datetime as dt

import pytest

from models.contracts import Side
from models.facts import Assertion, Experiencer, Quantity
from models.fusion.assess import assess
from models.fusion.contracts import Case, Demographics, Link, PriorFinding, Relation, Score, Source
from models.fusion.graph import load
from models.fusion.links import ABSENT, MEASURED_ONLY, PER_FINDING, SAME, links
from models.fusion.times import days_between, happened_at
from tests.models.fusion.cases import (
    HAEMORRHAGE,
    HIPPOCAMPUS,
    NODULE,
    NOW,
    PNEUMONIA,
    SUBDURAL,
    case,
    fact,
    finding,
    hippocampus,
    icd,
    loinc,
    value,
)

GRAPH = load()
COUGH, FEVER, WARFARIN = icd("R05", "Cough"), icd("R50.9", "Fever"), icd("Z79.01", "Anticoagulants")
CRP = loinc("1988-5", "CRP")


def of(given: Case, *scores: Score) -> tuple[Link, ...]:
    return links(given, GRAPH, scores)


def one(given: Case, relation: Relation | None = None, source: Source = Source.NOTE) -> Link:
    [link] = [item for item in of(given) if item.evidence.source is source and relation in (None, item.relation)]
    return link


def test_a_symptom_supports_a_finding_with_the_weight_of_its_edge_and_leads_back_to_the_note() -> None:
    link = one(case(finding(PNEUMONIA), facts=[fact(FEVER, "fever")]))
    edge = next(e for e in GRAPH.edges_to("pneumonia") if e.subject == "fever")

    assert (link.relation, link.weight, link.why) == (Relation.SUPPORTS, edge.weight, edge.why)
    assert link.evidence.reference == "D1:10-15"
    assert link.evidence.code == FEVER
    assert "fever (present; note of 2026-03-10)" in link.evidence.text


def test_a_symptom_that_is_denied_contradicts_weakly() -> None:
    link = one(case(finding(PNEUMONIA), facts=[fact(FEVER, said=Assertion(negated=True))]))

    assert link.relation is Relation.CONTRADICTS
    assert link.weight == pytest.approx(0.5 * ABSENT)


@pytest.mark.parametrize(
    "said",
    [Assertion(uncertain=True), Assertion(historical=True), Assertion(historical=True, uncertain=True)],
)
def test_what_is_not_stated_as_present_weighs_less(said: Assertion) -> None:
    full = one(case(finding(PNEUMONIA), facts=[fact(FEVER)])).weight
    less = [item.weight for item in of(case(finding(PNEUMONIA), facts=[fact(FEVER, said=said)]))]

    assert all(weight < full for weight in less)


def test_a_symptom_that_may_come_is_hardly_anything() -> None:
    assert (
        max(
            (i.weight for i in of(case(finding(PNEUMONIA), facts=[fact(FEVER, said=Assertion(hypothetical=True))]))),
            default=0,
        )
        <= 0.1
    )


def test_a_disease_of_the_past_keeps_more_than_a_symptom_of_the_past() -> None:
    past = Assertion(historical=True)
    disease = one(case(finding(SUBDURAL), facts=[fact(icd("D68.9"), said=past)]), Relation.RAISES_RISK).weight
    symptom = one(case(finding(SUBDURAL), facts=[fact(icd("R40.20"), said=past)])).weight

    assert disease / 0.8 > symptom / 0.6


def test_what_the_family_has_counts_only_where_the_graph_says_so() -> None:
    family = Assertion(experiencer=Experiencer.FAMILY)
    link = one(case(finding(NODULE, 9), facts=[fact(icd("C34.90"), "lung cancer", said=family)]))

    assert link.relation is Relation.RAISES_RISK
    assert "family history" in link.why
    assert of(case(finding(PNEUMONIA), facts=[fact(FEVER, said=family)])) == ()


def test_what_somebody_else_has_says_nothing() -> None:
    other = Assertion(experiencer=Experiencer.OTHER)
    assert of(case(finding(PNEUMONIA), facts=[fact(FEVER, said=other)])) == ()


def test_old_symptoms_weigh_less_than_new_ones_and_old_diseases_do_not() -> None:
    fresh, old = (one(case(finding(PNEUMONIA), facts=[fact(FEVER, days=days)])).weight for days in (1, 400))
    assert old < fresh
    fresh, old = (one(case(finding(NODULE), facts=[fact(icd("J43.9"), days=d)])).weight for d in (1, 80))
    assert old == fresh


def test_a_laboratory_value_counts_only_beyond_its_threshold_in_any_unit() -> None:
    high = one(case(finding(PNEUMONIA), observations=[value(CRP, 18.0, "mg/dL", reference="O1")]), source=Source.LAB)
    assert high.relation is Relation.SUPPORTS
    assert high.evidence.reference == "O1"
    low = one(case(finding(PNEUMONIA), observations=[value(CRP, 5.0, "mg/L")]), source=Source.LAB)
    assert low.relation is Relation.CONTRADICTS
    assert of(case(finding(PNEUMONIA), observations=[value(CRP, 25.0, "mg/L")])) == ()
    assert of(case(finding(PNEUMONIA), observations=[value(CRP, None, "mg/L")])) == ()


def test_of_several_values_the_one_nearest_to_the_study_counts() -> None:
    values = [value(CRP, 250.0, "mg/L", days=20), value(CRP, 5.0, "mg/L", days=0.2), value(CRP, 200.0, "mg/L", days=90)]
    assert one(case(finding(PNEUMONIA), observations=values), source=Source.LAB).relation is Relation.CONTRADICTS


def test_a_flag_of_the_laboratory_is_taken_where_the_edge_asks_for_it() -> None:
    wbc = loinc("6690-2", "Leukocytes")
    assert one(case(finding(PNEUMONIA), observations=[value(wbc, 15.0, "10*9/L", flag="H")]), source=Source.LAB)
    assert of(case(finding(PNEUMONIA), observations=[value(wbc, 7.0, "10*9/L", flag="N")])) == ()


def test_a_value_in_a_note_counts_as_one_of_the_laboratory() -> None:
    said = fact(loinc("6301-6", "INR"), "INR 3.4", quantity=Quantity(3.4, "1"))
    assert one(case(finding(HAEMORRHAGE), facts=[said])).relation is Relation.RAISES_RISK


def test_age_and_sex_count_by_their_edges() -> None:
    found = of(case(finding(NODULE), demographics=Demographics(70.0, "F")))
    assert {link.evidence.text for link in found} == {"age 70", "female"}
    assert of(case(finding(NODULE), demographics=Demographics(40.0, "M"))) == ()


def test_a_note_that_names_the_finding_supports_it_most_and_one_that_denies_it_contradicts() -> None:
    named = one(case(finding(SUBDURAL), facts=[fact(icd("I62.9", "intracranial hemorrhage"))]))
    assert (named.relation, named.weight) == (Relation.SUPPORTS, SAME)
    denied = one(case(finding(SUBDURAL), facts=[fact(icd("I62.9"), said=Assertion(negated=True))]))
    assert denied.relation is Relation.CONTRADICTS
    other = of(case(finding(SUBDURAL), facts=[fact(icd("I62.1", "epidural"), said=Assertion(negated=True))]))
    assert other == ()


def test_an_earlier_study_with_the_same_finding_supports_it() -> None:
    prior = PriorFinding(finding(NODULE, 6.0, side=Side.LEFT), "test", "1.2.3", NOW - dt.timedelta(days=30))
    link = one(case(finding(NODULE, 9.0), priors=(prior,)), source=Source.PRIOR)
    assert link.evidence.reference == "1.2.3"
    assert "6 mm" in link.evidence.text


def test_another_finding_of_the_images_counts_for_a_finding_and_not_for_itself() -> None:
    fracture = finding(icd("S22.39XA", "Rib fracture"))
    found = of(case(finding(icd("J93.9", "Pneumothorax")), fracture))
    assert [(link.finding, link.evidence.source) for link in found] == [(0, Source.IMAGE)]


def test_the_reason_of_the_order_is_read_like_a_note() -> None:
    found = of(case(finding(PNEUMONIA), order_reason="cough and fever, rule out pneumonia"))
    assert {link.evidence.source for link in found} == {Source.ORDER}
    assert {"cough", "fever"} <= {link.evidence.text.split(" (")[0] for link in found}


def test_links_are_ranked_bounded_and_the_same_whatever_the_order_of_notes() -> None:
    codes = [
        "R05",
        "R50.9",
        "R06.02",
        "R68.83",
        "R09.02",
        "R41.0",
        "A41.9",
        "D84.9",
        "U07.1",
        "I50.9",
        "I26.99",
        "J44.9",
        "C34.90",
    ]
    facts = [fact(icd(code), document=f"D{at}") for at, code in enumerate(codes)]
    found = of(case(finding(PNEUMONIA), facts=facts))

    assert len(found) == PER_FINDING
    assert [link.weight for link in found] == sorted((link.weight for link in found), reverse=True)
    assert of(case(finding(PNEUMONIA), facts=facts[::-1])) == found


def test_the_same_symptom_in_many_notes_is_one_link() -> None:
    facts = [fact(FEVER, document=f"D{at}", days=at) for at in range(5)]
    assert one(case(finding(PNEUMONIA), facts=facts)).evidence.reference == "D0:10-15"


def test_parts_of_one_thing_have_their_links_once_and_lesions_each_their_own() -> None:
    parts = [finding(HIPPOCAMPUS, label=f"hippocampus{part}") for part in ("", "-anterior", "-posterior")]
    memory = [fact(icd("R41.3", "Memory loss"))]
    assert {link.finding for link in of(case(*parts, facts=memory, body_part="HEAD"))} == {0}
    nodules = [finding(NODULE, 5.0, lesion="1"), finding(NODULE, 9.0, lesion="2")]
    assert {link.finding for link in of(case(*nodules, facts=[fact(icd("J43.9"))]))} == {0, 1}


def test_what_was_only_measured_has_half_the_weight_until_a_score_says_that_it_is_small() -> None:
    from models.fusion.scores import SCORES

    memory = [fact(icd("G30.9", "Alzheimer's disease"))]
    unknown = case(hippocampus(1.6), facts=memory, body_part="HEAD")
    small = case(hippocampus(1.6), facts=memory, body_part="HEAD", demographics=Demographics(68.0, "F"))
    large = case(hippocampus(3.6), facts=memory, body_part="HEAD", demographics=Demographics(68.0, "F"))
    score = SCORES["hippocampal-volume"]

    full = [link for link in of(small, *score(small)) if link.evidence.source is Source.NOTE]
    half = [link for link in of(unknown, *score(unknown)) if link.evidence.source is Source.NOTE]
    assert half[0].weight == pytest.approx(full[0].weight * MEASURED_ONLY)
    assert half[0].why.startswith("If it is too small")
    assert of(large, *score(large)) == ()


def test_a_finding_that_the_graph_does_not_know_has_no_links() -> None:
    assert of(case(finding(icd("Z00.0")), facts=[fact(FEVER), fact(COUGH), fact(WARFARIN)])) == ()


@pytest.mark.parametrize(
    ("when", "date"),
    [
        ("2024", "2024-07-01"),
        ("2024-03", "2024-03-15"),
        ("2024-03-05", "2024-03-05"),
        ("-P3D", "2026-03-07"),
        ("-P1Y", "2025-03-10"),
        ("2024-02-30", None),
        ("-P9999Y", None),
        ("soon", None),
    ],
)
def test_the_time_that_a_note_gives_is_read(when: str, date: str | None) -> None:
    at = happened_at(when, NOW)
    assert (at.date().isoformat() if at else None) == date


def test_days_between_times_with_and_without_a_zone_are_counted() -> None:
    assert days_between(NOW.replace(tzinfo=None), NOW) == 0.0
    assert days_between(None, NOW) is None
    assert days_between(dt.datetime.min, dt.datetime.max) == pytest.approx(3652058, abs=1)


def test_a_symptom_that_began_long_ago_and_is_present_is_one_of_now() -> None:
    link = one(case(finding(PNEUMONIA), facts=[fact(COUGH, when="-P2Y")]))
    assert link.weight == pytest.approx(0.3)


def test_an_earlier_part_is_not_the_whole_and_a_normal_structure_supports_nothing() -> None:
    def before(label: str, model: str = "test") -> PriorFinding:
        return PriorFinding(finding(NODULE, 6.0, label=label), model, "1.2.3", NOW - dt.timedelta(days=30))

    assert of(case(finding(NODULE, 9.0, label="mass"), priors=(before("mass-rim"),))) == ()
    assert of(case(finding(NODULE, 9.0, label="mass"), priors=(before("mass"),)))
    assert of(case(finding(NODULE, 9.0, label="mass"), priors=(before("tumour", "another"),)))
    earlier = PriorFinding(hippocampus(2.77), "test", "1.2.3", NOW - dt.timedelta(days=30))
    images = case(hippocampus(3.29), priors=(earlier,), body_part="BRAIN", demographics=Demographics(70.0, "F"))
    made = assess(images)
    assert not [link for link in made.links if link.evidence.source is Source.PRIOR]
    assert any("It was 2.77 mL in the study of" in score.statement for score in made.scores)
