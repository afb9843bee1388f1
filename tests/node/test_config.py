from __future__ import annotations

from pathlib import Path

import pytest

from node.config import load, locate
from node.errors import ConfigError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "overread.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(tmp_path: Path, text: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text), environ)
    return str(caught.value)


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(None, {})
    assert (settings.dicom.ae_title, settings.dicom.port, settings.hl7.port) == ("OVERREAD", 11112, 2575)
    assert (settings.web.host, settings.web.port) == ("127.0.0.1", 8080)
    assert settings.effective_rules


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[dicom]\nport = 104\nae_title = 'FILE'\n")
    settings = load(path, {"OVERREAD_DICOM__PORT": "4242"})
    assert (settings.dicom.port, settings.dicom.ae_title) == (4242, "FILE")


def test_lists_come_from_the_environment_as_json() -> None:
    environ = {
        "OVERREAD_DICOM__PEERS": '[{"ae_title": "MR1", "address": "10.0.0.0/8"}]',
        "OVERREAD_DESTINATIONS": '[{"name": "out", "kind": "folder", "path": "/tmp/out"}]',
    }
    settings = load(None, environ)
    assert settings.dicom.peers[0].ae_title == "MR1"
    assert settings.destinations[0].accepts == ("seg", "sr", "oru")


def test_an_unknown_key_is_named_with_its_line(tmp_path: Path) -> None:
    text = problems(tmp_path, "[node]\nroot = 'x'\n\n[dicom]\nprot = 11112\n")
    assert "overread.toml:5: dicom.prot: unknown key" in text


def test_a_bad_value_is_named_with_its_line(tmp_path: Path) -> None:
    text = problems(tmp_path, "[dicom]\n# a comment\nport = 70000\n")
    assert "overread.toml:3: dicom.port:" in text


def test_a_bad_value_of_the_environment_names_the_variable(tmp_path: Path) -> None:
    text = problems(tmp_path, "", OVERREAD_DICOM__PORT="eleven")
    assert "OVERREAD_DICOM__PORT" in text


def test_an_unknown_section_of_the_environment_names_the_variable(tmp_path: Path) -> None:
    assert "OVERREAD_DICMO__PORT" in problems(tmp_path, "", OVERREAD_DICMO__PORT="1")


def test_every_error_is_told_at_once(tmp_path: Path) -> None:
    text = problems(tmp_path, "[dicom]\nport = 70000\n[web]\nprt = 1\n")
    assert "dicom.port" in text
    assert "web.prt" in text


def test_the_second_of_two_destinations_is_found(tmp_path: Path) -> None:
    one = "[[destinations]]\nname = 'a'\nkind = 'folder'\npath = 'x'\n"
    text = problems(tmp_path, one + one.replace("'a'", "'b'").replace("'folder'", "'fax'"))
    assert "overread.toml:7: destinations.1.kind" in text


def test_a_web_address_that_others_reach_needs_a_login(tmp_path: Path) -> None:
    assert "web.user" in problems(tmp_path, "[web]\nhost = '0.0.0.0'\n")
    path = write(tmp_path, "[web]\nhost = '0.0.0.0'\nuser = 'u'\npassword = 'p'\n")
    assert load(path, {}).web.login


def test_a_rule_with_an_unknown_condition_is_an_error(tmp_path: Path) -> None:
    text = problems(tmp_path, "[[rules]]\nname = 'r'\nwhen = {modalty = 'MR'}\nrun = ['hippocampus']\n")
    assert "overread.toml:3" in text
    assert "modalty" in text


def test_a_rule_that_sends_to_nobody_known_is_an_error(tmp_path: Path) -> None:
    text = problems(tmp_path, "[[rules]]\nname = 'r'\nrun = ['hippocampus']\nsend = ['pacs']\n")
    assert "unknown destinations: pacs" in text


@pytest.mark.parametrize("title", ["", "   ", "A" * 17, "BACK\\SLASH", "ÄÖ"])
def test_an_ae_title_that_the_standard_forbids_is_an_error(tmp_path: Path, title: str) -> None:
    with pytest.raises(ConfigError):
        load(None, {"OVERREAD_DICOM__AE_TITLE": title})


def test_broken_toml_names_the_place(tmp_path: Path) -> None:
    assert "line 2" in problems(tmp_path, "[node]\nroot = \n")


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "overread.toml"
    path.write_bytes(b"\xff\xfe[node]")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(path, {})


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path / "none.toml", {})


def test_passwords_do_not_show_in_the_settings_text() -> None:
    settings = load(None, {"OVERREAD_WEB__USER": "u", "OVERREAD_WEB__PASSWORD": "hush-hush"})
    assert "hush-hush" not in repr(settings)


def test_locate_finds_the_deepest_part_that_stands_there() -> None:
    text = "[a]\nb = 1\n[[c]]\nd = 1\n[[c]]\nd = 2\n"
    assert locate(text, ("a", "b")) == 2
    assert locate(text, ("a", "x")) == 1
    assert locate(text, ("c", 1, "d")) == 6
    assert locate(text, ("z",)) is None


@pytest.mark.parametrize("key", ["tls", "commitment"])
def test_what_only_dicom_destinations_can_do_is_refused_of_others(tmp_path: Path, key: str) -> None:
    text = problems(tmp_path, f"[[destinations]]\nname = 'a'\nkind = 'folder'\npath = 'x'\n{key} = true\n")
    assert f"{key} is for destinations of kind" in text


DICOMWEB = "[[destinations]]\nname = 'web'\nkind = 'dicomweb'\n"


def test_a_dicomweb_destination_gets_images_and_reports(tmp_path: Path) -> None:
    settings = load(write(tmp_path, DICOMWEB + "url = 'https://pacs.example.org/dicom-web'\n"), {})
    assert settings.destinations[0].accepts == ("seg", "sr")


@pytest.mark.parametrize("url", ["http://pacs.example.org:99999/x", "http://[::1"])
def test_a_dicomweb_destination_s_host_and_port_are_such(tmp_path: Path, url: str) -> None:
    assert "destinations.0" in problems(tmp_path, DICOMWEB + f"url = '{url}'\n")


@pytest.mark.parametrize("url", ["", "pacs.example.org", "ftp://pacs", "https://user:secret@pacs.example.org/x"])
def test_a_dicomweb_destination_needs_an_address_without_a_password_in_it(tmp_path: Path, url: str) -> None:
    text = problems(tmp_path, DICOMWEB + f"url = '{url}'\n")
    assert "without a password" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("kind", "sent", "word"),
    [("dicom", "oru", "takes no oru"), ("mllp", "seg", "takes only oru"), ("dicom", "fax", "destinations.0.send")],
)
def test_a_destination_is_sent_only_what_it_can_take(tmp_path: Path, kind: str, sent: str, word: str) -> None:
    one = f"[[destinations]]\nname = 'a'\nkind = '{kind}'\nhost = 'h'\nport = 104\nae_title = 'A'\nsend = ['{sent}']\n"
    assert word in problems(tmp_path, one)
