"""Messages at the command line: seen without patient data, and processed again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from node.config import load
from node.hl7 import inbound
from node.records.engine import Records
from tests.node.commands.conftest import run


def message(kind: str, control_id: str, name: str, at: str = "20260101080000") -> bytes:
    msh = f"MSH|^~\\&|RIS|HOSP|OVERREAD||{at}||{kind}|{control_id}|P|2.5.1"
    return "\r".join((msh, f"PID|1||4711^^^HOSP||{name}||19700102|F", "")).encode("utf_8")


def give(config: Path, store: Records, *raws: bytes) -> None:
    settings = load(config, {})
    for raw in raws:
        inbound.handle(store, settings, raw, "192.0.2.1")


def said(*arguments: str | Path) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def test_a_message_is_shown_without_its_content_unless_asked_for(config: Path, store: Records) -> None:
    give(config, store, message("ADT^A01", "C1", "Doe^Jane"))
    shown = run("hl7", "show", "1", "--config", config)
    assert shown.exit_code == 0
    assert "ADT^A01" in shown.stdout
    assert "demographics were taken over" in shown.stdout
    assert "Doe" not in shown.stdout
    data = said("hl7", "show", "1", "--config", config)
    assert (data["state"], data["peer"], data["answer"], data["sender"]) == (
        "processed",
        "192.0.2.1",
        "AA",
        "RIS|HOSP",
    )
    assert "content" not in data
    assert said("hl7", "show", "1", "--content", "--config", config)["content"][1].endswith("Doe^Jane||19700102|F")
    assert "Doe^Jane" in run("hl7", "show", "1", "--content", "--config", config).stdout


def test_a_message_that_is_not_there_is_an_error_of_one_line(config: Path, store: Records) -> None:
    for command in ("show", "replay"):
        result = run("hl7", command, "7", "--config", config)
        assert result.exit_code == 2
        assert "no message 7" in result.stderr


def test_all_failed_messages_are_replayed_after_a_rehearsal(config: Path, store: Records) -> None:
    latin = [message("ADT^A01", f"C{n}", "Bürger^Änne", f"2026010{n}080000") for n in (1, 2)]
    give(config, store, *latin, message("ADT^A99", "C3", "Doe^Jane"))
    config.write_text(config.read_text("utf-8") + '[hl7]\ncharset = "UNICODE UTF-8"\n', encoding="utf-8")
    rehearsed = run("hl7", "replay", "--failed", "--dry-run", "--config", config)
    assert rehearsed.exit_code == 1
    assert rehearsed.stdout.count("nothing was changed") == 3
    assert len(said("hl7", "list", "--state", "failed", "--config", config)) == 3
    result = run("hl7", "replay", "--failed", "--config", config, "--json")
    assert result.exit_code == 1
    assert [(row["id"], row["ack"]) for row in json.loads(result.stdout)] == [(1, "AA"), (2, "AA"), (3, "AR")]
    assert len(said("hl7", "list", "--state", "failed", "--config", config)) == 1


def test_failed_messages_since_a_time_are_replayed(config: Path, store: Records) -> None:
    give(config, store, message("ADT^A99", "C1", "Doe^Jane"))
    assert said("hl7", "replay", "--since", "2999-01-01", "--config", config) == []
    result = run("hl7", "replay", "--since", "2020-01-01T08:00", "--config", config, "--json")
    assert [row["id"] for row in json.loads(result.stdout)] == [1]
    assert run("hl7", "replay", "--since", "yesterday", "--config", config).exit_code == 2


def test_what_is_to_be_replayed_must_be_said_in_one_way(config: Path, store: Records) -> None:
    assert run("hl7", "replay", "--config", config).exit_code == 2
    assert run("hl7", "replay", "1", "--failed", "--config", config).exit_code == 2


def test_what_a_terminal_would_obey_is_not_printed(config: Path, store: Records) -> None:
    give(config, store, message("ADT^A01", "C1", "Doe^\x1b]0;title\x07Jane\u202e"))
    config.write_text(config.read_text("utf-8") + '[hl7]\ncharset = "UNICODE UTF-8"\n', encoding="utf-8")
    shown = run("hl7", "show", "1", "--content", "--config", config).stdout
    assert "Doe^" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)


def test_numbers_and_times_beyond_all_bounds_are_an_error_of_the_command_line(config: Path, store: Records) -> None:
    for arguments in (
        ("show", "9" * 30),
        ("replay", "9" * 30),
        ("list", "--limit", "9" * 30),
        ("replay", "--since", "9999-12-31T23:59-14:00"),
    ):
        assert run("hl7", *arguments, "--config", config).exit_code == 2


def test_a_message_that_cannot_be_replayed_does_not_keep_the_others_from_it(config: Path, store: Records) -> None:
    give(config, store, message("ADT^A01", "C1", "Doe^Jane"), message("ADT^A99", "C2", "Doe^Jane"))
    result = run("hl7", "replay", "1", "2", "2", "--config", config, "--json")
    assert result.exit_code == 1
    assert [(row["id"], row["ack"], row["used"]) for row in json.loads(result.stdout)] == [
        (1, "", False),
        (2, "AR", False),
    ]
