from __future__ import annotations

import datetime as dt
import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pynetdicom.ae import ApplicationEntity
from pynetdicom.sop_class import MRImageStorage  # type: ignore[attr-defined]
from sqlalchemy import select

from models import catalog
from node.commands.send import parse_address
from node.config import load
from node.errors import OverreadError
from node.hl7 import inbound
from node.records import results
from node.records.engine import Records
from node.records.results import Answer
from node.records.schema import Delivery, now
from node.records.states import DeliveryState, JobState, StudyState
from node.simulator.pacs import PacsSimulator
from node.simulator.ris import Person, order
from tests import factories
from tests.node.commands.conftest import run


@pytest.mark.parametrize(
    "text", ["ORTHANC", "ORTHANC@host", "@host:104", "A@host:0", "A@host:70000", "A" * 17 + "@h:1"]
)
def test_an_address_that_is_none_is_told_what_one_looks_like(text: str) -> None:
    with pytest.raises(OverreadError, match="AE@HOST:PORT"):
        parse_address(text)


def test_addresses_may_be_ipv6() -> None:
    assert parse_address("PACS@[::1]:104") == ("PACS", "::1", 104)


def test_studies_are_listed_and_shown(config: Path, store: Records) -> None:
    with store.write() as session:
        study = factories.study(session, "1.2.3", state=StudyState.DONE)
        factories.job(session, study, JobState.DONE)
    [row] = json.loads(run("study", "list", "--config", config, "--json").stdout)
    assert (row["uid"], row["state"], row["jobs"]) == ("1.2.3", "done", "hippocampus: done")
    for key in ("1", "1.2.3"):
        assert json.loads(run("study", "show", key, "--config", config, "--json").stdout)["uid"] == "1.2.3"


def test_an_unknown_study_is_an_error_of_one_line(config: Path, store: Records) -> None:
    said = run("study", "show", "7", "--config", config)
    assert said.exit_code == 2
    assert "no such study" in said.stderr


def test_failed_jobs_are_queued_again_by_hand(config: Path, store: Records) -> None:
    with store.write() as session:
        study = factories.study(session, state=StudyState.FAILED)
        factories.job(session, study, JobState.FAILED, attempts=3)
    assert "Jobs queued again: 1" in run("study", "retry", "1", "--config", config).stdout
    data = json.loads(run("study", "show", "1", "--config", config, "--json").stdout)
    assert data["state"] == "receiving"  # the rules are asked again within a moment
    assert (data["jobs"][0]["state"], data["jobs"][0]["attempts"]) == ("queued", 0)


def test_a_study_that_no_rule_wanted_is_judged_again_by_hand(config: Path, store: Records) -> None:
    with store.write() as session:
        factories.study(session, state=StudyState.UNWANTED)
    assert run("study", "retry", "1", "--config", config).exit_code == 0
    assert json.loads(run("study", "show", "1", "--config", config, "--json").stdout)["state"] == "receiving"


def test_a_failed_job_that_no_rule_asks_for_any_more_ends(config: Path, store: Records) -> None:
    with store.write() as session:
        study = factories.study(session, state=StudyState.FAILED)
        factories.job(session, study, JobState.FAILED, model="hipocampus")
    assert "Jobs queued again: 0" in run("study", "retry", "1", "--config", config).stdout
    data = json.loads(run("study", "show", "1", "--config", config, "--json").stdout)
    assert data["jobs"][0]["state"] == "superseded"


def test_a_rule_that_names_an_unknown_model_is_told_by_check_and_by_serve(config: Path) -> None:
    config.write_text(config.read_text("utf-8") + '[[rules]]\nname = "r"\nrun = ["hipocampus"]\n', encoding="utf-8")
    found = {item["name"]: item for item in json.loads(run("check", "--config", config, "--json").stdout)}
    assert not found["rules"]["ok"]
    said = run("serve", "--config", config)
    assert said.exit_code == 2
    assert "no model is called 'hipocampus'; there are: chest-xray-pneumonia" in said.stderr


def test_a_node_does_not_start_on_a_port_that_another_one_shares(config: Path) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        text = f'[dicom]\nhost = "127.0.0.1"\nport = {port}\n'
        config.write_text(config.read_text("utf-8") + text, encoding="utf-8")
        said = run("serve", "--config", config)
    assert said.exit_code == 2
    assert f"dicom.port: 127.0.0.1:{port} cannot be listened on" in said.stderr


def test_files_that_are_no_dicom_objects_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    run("simulate", "study", folder)
    (folder / "photo.jpg").write_bytes(b"\xff\xd8 not DICOM")
    with PacsSimulator(tmp_path / "pacs") as pacs:
        said = json.loads(run("send", folder, f"SIM_PACS@127.0.0.1:{pacs.port}", "--json").stdout)
    assert said["left_out"] == 1


def test_a_given_up_delivery_is_queued_again_by_hand(config: Path, store: Records, tmp_path: Path) -> None:
    with store.write() as session:
        job = factories.job(session, factories.study(session))
        [row] = factories.result(session, job, tmp_path, "1.9", ["pacs"])
        results.start(session, [row.id])
        results.refused(session, [Answer(row.id, "0xA700", "full")], lambda *_: None)
    for chosen in (("--state", "failed"), ("--failed",), ("--failed", "--destination", "pacs")):
        [shown] = json.loads(run("delivery", "list", *chosen, "--config", config, "--json").stdout)
        assert (shown["status"], shown["reason"], shown["next_at"]) == ("0xA700", "full", None)
    assert json.loads(run("delivery", "list", "--destination", "ris", "--config", config, "--json").stdout) == []
    assert run("delivery", "retry", "1", "--config", config).exit_code == 0
    with store.read() as session:
        assert session.get_one(Delivery, 1).state is DeliveryState.QUEUED


def test_a_delivery_that_was_confirmed_cannot_be_sent_again(config: Path, store: Records, tmp_path: Path) -> None:
    with store.write() as session:
        job = factories.job(session, factories.study(session))
        [row] = factories.result(session, job, tmp_path, "1.9", ["pacs"])
        results.start(session, [row.id])
        results.accepted(session, [Answer(row.id, "0x0000")])
    said = run("delivery", "retry", "1", "--config", config)
    assert said.exit_code == 2
    assert "the delivery is accepted: only one that waits" in said.stderr


def test_a_delivery_that_waits_for_another_try_goes_now_by_hand(config: Path, store: Records, tmp_path: Path) -> None:
    later = now() + dt.timedelta(hours=1)
    with store.write() as session:
        job = factories.job(session, factories.study(session))
        [row] = factories.result(session, job, tmp_path, "1.9", ["pacs"])
        results.start(session, [row.id])
        results.refused(session, [Answer(row.id, "0xA700", "full")], lambda *_: later)
    assert run("delivery", "retry", "1", "--config", config).exit_code == 0
    with store.read() as session:
        row = session.get_one(Delivery, 1)
        assert row.state is DeliveryState.QUEUED
        assert row.next_at <= now()


def test_all_dead_letters_of_a_destination_go_again_at_once(config: Path, store: Records, tmp_path: Path) -> None:
    with store.write() as session:
        job = factories.job(session, factories.study(session))
        ids = [row.id for uid in "123" for row in factories.result(session, job, tmp_path, f"1.{uid}", ["pacs", "ris"])]
        results.start(session, ids)
        results.refused(session, [Answer(key, "0xA700", "full") for key in ids], lambda *_: None)
    assert run("delivery", "retry", "--config", config).exit_code == 2
    said = run("delivery", "retry", "--failed", "--destination", "pacs", "--config", config)
    assert said.stdout.strip() == "3 deliveries queued again."
    with store.read() as session:
        found = {(row.destination, row.state) for row in session.scalars(select(Delivery))}
    assert found == {("pacs", DeliveryState.QUEUED), ("ris", DeliveryState.FAILED)}


def test_a_wrong_key_in_the_configuration_is_an_error_of_one_line(tmp_path: Path) -> None:
    path = tmp_path / "overread.toml"
    path.write_text("[dicom]\nprot = 1\n", encoding="utf-8")
    said = run("check", "--config", path)
    assert said.exit_code == 2
    assert "overread.toml:2: dicom.prot: unknown key" in said.stderr


def test_a_root_that_cannot_be_made_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "overread.toml"
    path.write_text(f'[node]\nroot = "{tmp_path / "file" / "data"}"\n', encoding="utf-8")
    said = run("serve", "--config", path)
    assert said.exit_code == 2
    assert said.stderr.startswith("overread: [Errno")
    assert said.stderr.count("\n") == 1


def test_records_that_are_no_database_are_an_error_of_one_line(config: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "overread.sqlite").write_bytes(b"no database at all" * 100)
    said = run("study", "list", "--config", config)
    assert said.exit_code == 2
    assert "the records cannot be used: file is not a database" in said.stderr


def test_ports_that_are_taken_are_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for command, section in (("receiver", "dicom"), ("listener", "hl7")):
            path = tmp_path / "overread.toml"
            root = f'[node]\nroot = "{tmp_path / "data"}"\n'
            path.write_text(f'{root}[{section}]\nhost = "127.0.0.1"\nport = {port}\n', encoding="utf-8")
            said = subprocess.run(
                [sys.executable, "-m", "node", command, "--config", path],
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert said.returncode == 2
            assert f"overread: cannot listen on 127.0.0.1:{port}" in said.stderr
            assert "Traceback" not in said.stderr


def test_a_generated_study_is_sent_and_the_rules_are_tried_on_it(config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    assert run("simulate", "study", folder, "--accession", "A1").exit_code == 0
    [row] = json.loads(run("rules", "test", folder, "--config", config, "--json").stdout)
    assert (row["rule"], row["model"]) == ("brain MR", "hippocampus")
    with PacsSimulator(tmp_path / "pacs") as pacs:
        said = json.loads(run("send", folder, f"SIM_PACS@127.0.0.1:{pacs.port}", "--json").stdout)
        assert said["sent"] == said["accepted"] == len(pacs.received) == len(list(folder.iterdir()))


def test_refused_objects_are_named_and_the_exit_status_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    run("simulate", "study", folder)
    with PacsSimulator(tmp_path / "pacs", answers=[0xA700]) as pacs:
        said = run("send", folder, f"SIM_PACS@127.0.0.1:{pacs.port}", "--json")
    assert said.exit_code == 1
    assert [item["status"] for item in json.loads(said.stdout)["refused"]] == ["0xA700"]


def test_sending_to_nobody_is_an_error_of_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    run("simulate", "study", folder)
    said = run("send", folder, "NOBODY@127.0.0.1:1", "--json")
    assert said.exit_code == 2
    assert "127.0.0.1" in said.stderr


def test_who_is_not_let_in_is_told_how_to_name_an_ae_title_that_is(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    run("simulate", "study", folder)
    strict = ApplicationEntity("STRICT")
    strict.require_calling_aet = ["KNOWN"]
    strict.add_supported_context(MRImageStorage)
    server = strict.start_server(("127.0.0.1", 0), block=False)
    assert server is not None
    try:
        said = run("send", folder, f"STRICT@127.0.0.1:{server.server_address[1]}", "--json")
    finally:
        server.shutdown()
    assert said.exit_code == 2
    assert "does not let OVERREAD in from here; --calling names" in said.stderr


def test_times_of_a_list_are_whole_seconds_and_a_delivery_names_its_study(
    config: Path, store: Records, tmp_path: Path
) -> None:
    with store.write() as session:
        job = factories.job(session, factories.study(session))
        factories.result(session, job, tmp_path, "1.9", ["pacs"])
    head, row = run("delivery", "list", "--config", config).stdout.splitlines()
    assert head.split()[:3] == ["id", "study", "kind"]
    assert row.split()[1] == "1"
    assert re.search(r" \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00", row)


def test_check_tells_what_is_not_well(config: Path, tmp_path: Path) -> None:
    down = '[[destinations]]\nname = "pacs"\nkind = "dicom"\nhost = "127.0.0.1"\nport = 1\nae_title = "P"\n'
    config.write_text(config.read_text("utf-8") + down, encoding="utf-8")
    said = run("check", "--config", config, "--json")
    found = {item["name"]: item for item in json.loads(said.stdout)}
    assert said.exit_code == 1
    assert found["database"]["ok"]
    assert not found["destination pacs"]["ok"]


def test_the_facts_of_a_note_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("Denies seizures. Mother had dementia.", encoding="utf-8")
    facts = json.loads(run("notes", "analyze", path, "--json").stdout)["facts"]
    assert [fact["assertion"]["negated"] for fact in facts] == [True, False]
    assert facts[1]["assertion"]["experiencer"] == "family"


def test_a_note_in_the_wrong_character_set_is_an_error_of_one_line(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes("Gedächtnis".encode("latin-1"))
    said = run("notes", "analyze", path)
    assert said.exit_code == 2
    assert "UTF-8" in said.stderr


def test_a_failed_message_is_processed_again_by_hand(config: Path, store: Records) -> None:
    settings = load(config, {})
    bad = order(Person(), accession="A1", charset="UNICODE UTF-8").replace(b"|UNICODE UTF-8", b"")
    inbound.handle(store, settings, bad.replace(b"Robin", "Änne".encode()))
    [row] = json.loads(run("hl7", "list", "--state", "failed", "--config", config, "--json").stdout)
    assert row["type"] == "ORM^O01"
    assert run("hl7", "replay", str(row["id"]), "--config", config).exit_code == 1
    config.write_text(config.read_text("utf-8") + '[hl7]\ncharset = "UNICODE UTF-8"\n', encoding="utf-8")
    assert run("hl7", "replay", str(row["id"]), "--config", config).exit_code == 0
    assert json.loads(run("hl7", "list", "--state", "failed", "--config", config, "--json").stdout) == []


def test_the_models_that_ship_are_listed_from_their_cards() -> None:
    cards = {card["name"]: card for card in json.loads(run("models", "list", "--json").stdout)}
    assert set(catalog.names()) <= set(cards)
    assert all(len(cards[name]["weights_sha256"]) == 64 for name in catalog.names())


def test_the_conformance_statement_names_what_the_node_speaks(config: Path) -> None:
    said = json.loads(run("conformance", "--config", config, "--json").stdout)
    assert {"1.2.840.10008.1.1", "1.2.840.10008.1.20.1"} <= set(said["scp"]["Services"])
    assert "ORM^O01" in said["hl7"]["in"]
    assert "# Conformance statement" in run("conformance", "--config", config).stdout


def test_a_note_engine_and_a_knowledge_folder_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    path = tmp_path / "overread.toml"
    broken = tmp_path / "knowledge"
    broken.mkdir()
    (broken / "edges.tsv").write_text("nonsense\n", encoding="utf-8")
    path.write_text(
        f'[node]\nroot = "{tmp_path / "data"}"\n[notes]\nengine = "transformer"\nmodel = "{tmp_path / "none"}"\n'
        f'[knowledge]\npath = "{broken}"\n',
        encoding="utf-8",
    )
    found = {row["name"]: row for row in json.loads(run("check", "--config", path, "--json").stdout)}
    assert not found["notes"]["ok"]
    assert not found["knowledge"]["ok"]
    assert "edges.tsv" in found["knowledge"]["text"]
    refused = run("serve", "--config", path)
    assert refused.exit_code != 0
    assert "notes: " in refused.stderr
