"""The knowledge graph: its files are sound, codes find their concepts, a site can extend it, errors name the line."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contracts import Code
from models.fusion.explain import explain, find, listed, suggest
from models.fusion.graph import build, load
from models.fusion.knowledge_types import EdgeRelation, GraphError, NodeKind
from models.fusion.knowledge_values import Value, converted, holds, parse_condition
from models.fusion.links import SMALL
from models.notes.codes import concepts

GRAPH = load()
EDGE = "cough\tsupports\tpneumonia\t{}\t\tBecause.\tA source.\n"


def ids(code: Code, where: str = "") -> list[str]:
    return [node.id for node in GRAPH.match(code, where)]


def site(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_the_graph_covers_its_domains_with_at_least_150_edges() -> None:
    assert len(GRAPH.edges) >= 150
    for name in (
        "lung_nodule",
        "pneumonia",
        "intracranial_haemorrhage",
        "cerebral_infarction",
        "atrial_fibrillation",
        "hippocampal_atrophy",
        "hippocampal_sclerosis",
        "pneumothorax",
        "pleural_effusion",
        "pulmonary_oedema",
        "pulmonary_embolism",
    ):
        relations = {edge.relation for edge in GRAPH.edges_to(name)}
        assert EdgeRelation.SUPPORTS in relations or EdgeRelation.EXPLAINS in relations, name
        assert any(edge.relation is EdgeRelation.RECOMMENDS for edge in GRAPH.edges_from(name)), name


def test_every_edge_says_why_in_a_sentence_and_by_whose_word() -> None:
    for edge in GRAPH.edges:
        assert edge.why.endswith("."), edge
        assert edge.source.strip(), edge
        assert "$" not in edge.source, edge
        assert 0 < edge.weight <= 1, edge


def test_only_follow_up_is_recommended_and_it_says_nothing_itself() -> None:
    for edge in GRAPH.edges:
        assert (GRAPH.nodes[edge.object].kind is NodeKind.FOLLOW_UP) == (edge.relation is EdgeRelation.RECOMMENDS), edge
        assert GRAPH.nodes[edge.subject].kind is not NodeKind.FOLLOW_UP, edge


def test_every_node_has_both_names_a_code_and_an_edge() -> None:
    for node in GRAPH.nodes.values():
        assert node.meaning, node
        assert node.chinese, node
        assert node.patterns, node
        used = GRAPH.edges_to(node.id) or GRAPH.edges_from(node.id) or node.id in GRAPH.grades or node.id in SMALL
        assert used, f"nothing is said of {node.id}"


def test_a_condition_of_a_laboratory_value_can_be_met() -> None:
    for edge in GRAPH.edges:
        if edge.condition is not None and edge.condition.comparator != "flag":
            step = 1.0 if ">" in edge.condition.comparator else -1.0
            met = Value(edge.condition.value + step * 0.001, edge.condition.unit)
            assert holds(edge.condition, met), edge


@pytest.mark.data
def test_every_icd_10_cm_code_of_the_graph_is_published(real_data: Callable[[str], Path]) -> None:
    packed = (real_data("codes-icd10cm") / "icd10cm-order-Jan-2021.csv.gz").read_bytes()
    table = {row["code"] for row in csv.DictReader(io.StringIO(gzip.decompress(packed).decode()))}

    for node in GRAPH.nodes.values():
        for pattern in node.patterns:
            if pattern.scheme == "I10C":
                value = pattern.value.replace(".", "")
                known = any(code.startswith(value) for code in table) if pattern.prefix else value in table
                assert known, f"{node.id}: {pattern}"


def test_most_symptoms_and_risks_of_the_graph_are_concepts_that_the_notes_know() -> None:
    said = {
        node.id for entry in concepts() for place in ("", "chest", "head") for node in GRAPH.match(entry.code, place)
    }
    kinds = (NodeKind.SYMPTOM, NodeKind.MEDICATION)
    wanted = {node.id for node in GRAPH.nodes.values() if node.kind in kinds}

    assert len(wanted & said) / len(wanted) > 0.85, sorted(wanted - said)


def test_the_most_specific_concept_of_a_code_comes_first() -> None:
    assert ids(Code("I62.00", "I10C", "")) == ["subdural_haemorrhage", "intracranial_haemorrhage"]
    assert ids(Code("C34.90", "I10C", "")) == ["lung_cancer", "cancer"]
    assert ids(Code("I6200", "I10C", ""))[0] == "subdural_haemorrhage"
    assert ids(Code("G40.901", "I10C", ""))[0] == "status_epilepticus"


def test_a_prefix_ends_with_its_scheme() -> None:
    assert ids(Code("C34.90", "SCT", "")) == []
    assert ids(Code("X34", "I10C", "")) == []


def test_what_the_family_has_is_not_what_the_patient_has() -> None:
    assert ids(Code("C34.90", "I10C", ""), "family") == ["lung_cancer_family"]
    assert "lung_cancer_family" not in ids(Code("C34.90", "I10C", ""))
    assert ids(Code("J18.9", "I10C", ""), "family") == []


def test_a_code_that_says_too_little_counts_only_where_the_image_is_of_that_part() -> None:
    nodule = Code("27925004", "SCT", "Nodule")
    assert ids(nodule, "chest") == ["lung_nodule"]
    assert ids(nodule, "head") == []
    assert ids(nodule) == []


def test_the_same_files_give_the_same_version_and_a_changed_weight_another() -> None:
    again = build(GRAPH.nodes.values(), GRAPH.edges, GRAPH.grades.values(), GRAPH.rules)
    assert again.version == GRAPH.version
    assert build(GRAPH.nodes.values(), GRAPH.edges[1:]).version != GRAPH.version


def test_the_page_on_merging_gives_the_whole_table_of_priorities() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "fusion.md").read_text(encoding="utf-8")
    conventions = sum(edge.source == "clinical convention" for edge in GRAPH.edges)
    assert f"Concepts ({len(GRAPH.nodes)}) and what one says of another ({len(GRAPH.edges)} edges)" in page
    assert f"{conventions} edges are conventions" in page
    for grade in GRAPH.grades.values():
        critical = "yes" if grade.critical else "risk" if grade.by_risk else "no"
        name = GRAPH.nodes[grade.node].meaning
        row = f"| {name} | {grade.priority} | {critical} | {grade.confidence:g} | {grade.source} |"
        assert row in page, row
    for rule in GRAPH.rules:
        row = f"| {rule.kind} | {rule.key} | {rule.test.replace('|', ', ')} | {rule.priority} | {rule.source} |"
        assert row in page, row


def test_a_site_adds_overrides_and_removes(tmp_path: Path) -> None:
    site(tmp_path, "nodes_ours.tsv", "mould\trisk_factor\t99OURS:MOULD\tMouldy home\t发霉\t\n")
    lines = "mould\traises_risk\tpneumonia\t0.4\t\tMould makes pneumonia likelier.\tOur clinic.\n"
    site(
        tmp_path,
        "edges_ours.tsv",
        "# ours\n" + lines + EDGE.format("0.9") + EDGE.replace("cough", "chills").format("0"),
    )
    graph = load(tmp_path)

    weights = {edge.subject: edge.weight for edge in graph.edges_to("pneumonia") if edge.condition is None}
    assert weights["mould"] == 0.4
    assert weights["cough"] == 0.9
    assert "chills" not in weights
    assert graph.version != GRAPH.version
    assert [node.id for node in graph.match(Code("MOULD", "99OURS", ""))] == ["mould"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("edges.tsv", "# head\ncough\thelps\tpneumonia\t1\t\tWhy.\tS.\n", "edges.tsv:2: the relation"),
        ("edges.tsv", EDGE.format("1.5"), "edges.tsv:1: the weight"),
        ("edges.tsv", EDGE.format("nan"), "edges.tsv:1: the weight"),
        ("edges.tsv", EDGE.replace("cough", "coughing").format("1"), 'edges.tsv:1: there is no node "coughing"'),
        ("edges.tsv", EDGE.format("1") + EDGE.format("0.5"), "edges.tsv:2: the same stands in edges.tsv:1"),
        ("edges.tsv", "crp\tsupports\tpneumonia\t1\tabove 5\tWhy.\tS.\n", "edges.tsv:1: the condition"),
        ("edges.tsv", "crp\tsupports\tpneumonia\t1\t> 5 spoons\tWhy.\tS.\n", 'edges.tsv:1: the unit "spoons"'),
        ("edges.tsv", "cough\tsupports\tpneumonia\t1\t\t\t\n", "edges.tsv:1: an edge needs a sentence"),
        ("edges.tsv", "a\tb\tc\td\te\tf\tg\th\n", "edges.tsv:1: 8 columns"),
        ("nodes.tsv", "Bad Id\tfinding\tSCT:1\tX\t\t\n", "nodes.tsv:1: the id"),
        ("nodes.tsv", "good\tthing\tSCT:1\tX\t\t\n", "nodes.tsv:1: the kind"),
        ("nodes.tsv", "good\tfinding\t1\tX\t\t\n", "nodes.tsv:1: the code"),
        ("nodes.tsv", "good\tfinding\tSCT:1*\tX\t\t\n", 'nodes.tsv:1: "SCT:1*": only ICD-10-CM'),
        ("critical.tsv", "cough\tASAP\tyes\t0.5\tWhy.\tS.\n", "critical.tsv:1: a critical finding"),
        ("critical.tsv", "nothing\tSTAT\tyes\t0.5\tWhy.\tS.\n", "critical.tsv:1: there is no node"),
        ("priority.tsv", "score\tcurb-65\tthree\tSTAT\tWhy.\tS.\n", "priority.tsv:1: the test"),
        ("priority.tsv", "mood\tbad\t\tSTAT\tWhy.\tS.\n", "priority.tsv:1: the kind"),
        ("rules.tsv", "\n", "rules.tsv: a file must be called"),
    ],
)
def test_a_mistake_in_a_site_s_file_is_told_with_file_and_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(GraphError) as caught:
        load(site(tmp_path, name, text))
    assert said in str(caught.value)


def test_a_folder_that_is_none_and_a_file_that_is_no_text_are_told(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="is no folder"):
        load(tmp_path / "nowhere")
    (tmp_path / "nodes.tsv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(GraphError, match="not UTF-8"):
        load(tmp_path)


@given(st.text(max_size=40))
def test_a_condition_is_read_or_refused_with_a_sentence(text: str) -> None:
    try:
        condition = parse_condition(text)
    except ValueError:
        return
    assert condition is None or holds(condition, Value()) is False
    assert condition is None or parse_condition(str(condition)) is not None


@given(st.floats(-1e6, 1e6), st.floats(0, 1e5))
def test_a_larger_value_never_stops_being_above_a_bound(value: float, more: float) -> None:
    condition = parse_condition("> 100 mg/L")
    if holds(condition, Value(value, "mg/L")):
        assert holds(condition, Value(value + more, "mg/L"))


@pytest.mark.parametrize(
    ("condition", "value", "met"),
    [
        ("> 100 mg/L", Value(12.0, "mg/dL"), True),
        ("> 100 mg/L", Value(12.0, "mg/L"), False),
        ("> 100 mg/L", Value(120.0, ""), False),  # a number without a unit is not compared with one that has one
        ("> 400 pg/mL", Value(401.0, "ng/L"), True),
        ("> 500 ng/mL", Value(0.6, "ug/mL FEU"), True),
        ("> 500 ng/mL", Value(600.0, "ng/mL DDU"), False),
        (">= 2", Value(2.4, "{INR}"), True),
        (">= 2", Value(2.4, ""), True),
        ("< 20 mg/L", Value(5.0, "mg/L", comparator="<"), True),
        ("> 20 mg/L", Value(30.0, "mg/L", comparator="<"), False),
        ("< 90 mm[Hg]", Value(85.0, "mmHg"), True),
        ("flag H", Value(None, flag="HH"), True),
        ("flag H", Value(7.0, reference_range="3.5 - 5.0"), True),
        ("flag L", Value(7.0, reference_range="> 8"), True),
        ("flag L", Value(7.0, reference_range="3.5-9"), False),
        ("flag A", Value(7.0), False),
        ("> 1", Value(float("nan"), "1"), False),
    ],
)
def test_values_meet_conditions_across_units(condition: str, value: Value, met: bool) -> None:
    assert holds(parse_condition(condition), value) is met


def test_units_of_other_kinds_are_not_converted() -> None:
    assert converted(5.0, "mmol/L", "mg/L") is None
    assert converted(5.0, "cm", "mm") == 50.0
    assert converted(float("inf"), "mm", "mm") is None


@pytest.mark.parametrize("word", ["SCT:36118008", "36118008", "pneumothorax", "Pneumothorax", "气胸", "collapsed LUNG"])
def test_a_concept_is_found_by_code_id_and_names(word: str) -> None:
    assert find(GRAPH, word)[0].id == "pneumothorax"


def test_an_explanation_gives_all_relations_and_paths_with_weights_and_sources() -> None:
    said = explain(GRAPH, "I10C:J90")
    assert said is not None
    assert said["node"]["id"] == "pleural_effusion"
    assert said["explains"][0]["id"] == "heart_failure"
    assert said["recommended"][0]["source"].startswith("Beaudoin")
    assert [path["weight"] for path in said["paths"]] == sorted((p["weight"] for p in said["paths"]), reverse=True)
    assert all(len(path["steps"]) == 2 and len(path["sources"]) == 2 for path in said["paths"])
    assert not any(
        path["steps"][0].startswith("Pleural effusion") and path["steps"][1].endswith("Pleural effusion")
        for path in said["paths"]
    )


def test_a_measured_structure_is_explained_by_what_it_is_if_it_is_too_small() -> None:
    said = explain(GRAPH, "SCT:5366008")
    assert said is not None
    assert said["if_too_small"]["id"] == "hippocampal_atrophy"
    assert "alzheimer" in {edge["id"] for edge in said["supports"]}
    assert said["recommended"]


def test_a_word_that_is_not_known_gets_suggestions() -> None:
    assert explain(GRAPH, "pneumothoracks") is None
    assert "pneumothorax" in suggest(GRAPH, "pneumothoracks")
    assert suggest(GRAPH, "") == ()


@given(st.text(max_size=200))
def test_any_word_is_answered(word: str) -> None:
    assert explain(GRAPH, word) is None or find(GRAPH, word)
    suggest(GRAPH, word[:20])


def test_nodes_are_listed_by_kind() -> None:
    labs = listed(GRAPH, "lab")
    assert {node["kind"] for node in labs} == {"lab"}
    assert next(node for node in labs if node["id"] == "crp")["edges_from"] >= 3
    assert len(listed(GRAPH)) == len(GRAPH.nodes)
