"""Zips and folders as somebody means harm with them."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path

import pytest

from models.site import archive
from models.site.archive import digest_of, digests, inside, stage
from models.site.errors import ModelRefused


def zipped(path: Path, members: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            made.writestr(info, data)
    return path


def test_a_folder_and_its_zip_become_the_same_files(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "a.json").write_text("{}", encoding="utf-8")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "a.pyc").write_bytes(b"x")
    packed = zipped(tmp_path / "m.zip", {"model/configs/a.json": b"{}", "__MACOSX/x": b"y"})

    one, other = stage(folder, tmp_path / "one"), stage(packed, tmp_path / "other")

    assert digests(one) == digests(other)
    assert list(digests(one)) == ["configs/a.json"]


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "C:/evil", "a\\..\\evil"])
def test_a_member_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    packed = tmp_path / "m.zip"
    with zipfile.ZipFile(packed, "w") as made:
        info = zipfile.ZipInfo("x")
        info.filename = name
        made.writestr(info, b"x")

    with pytest.raises(ModelRefused, match="leads out"):
        stage(packed, tmp_path / "out")
    assert not list(tmp_path.rglob("evil"))


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    packed = zipped(tmp_path / "m.zip", {"weights": b"/etc/passwd"}, mode=stat.S_IFLNK | 0o777)

    with pytest.raises(ModelRefused, match="link"):
        stage(packed, tmp_path / "out")


def test_a_link_in_a_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").symlink_to("/etc/passwd")

    with pytest.raises(ModelRefused, match="link"):
        stage(folder, tmp_path / "out")


def test_a_link_to_a_folder_in_a_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").symlink_to("/etc")

    with pytest.raises(ModelRefused, match="link"):
        stage(folder, tmp_path / "out")


def test_a_pipe_in_a_folder_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    os.mkfifo(folder / "pipe")

    with pytest.raises(ModelRefused, match="device"):
        stage(folder, tmp_path / "out")


def test_a_bomb_is_refused_by_what_it_announces(tmp_path: Path) -> None:
    packed = zipped(tmp_path / "m.zip", {"zeros": bytes(8 << 20)})

    with pytest.raises(ModelRefused, match="times its size"):
        stage(packed, tmp_path / "out")


def test_a_member_that_unpacks_to_more_than_it_announces_is_refused(tmp_path: Path) -> None:
    packed = zipped(tmp_path / "m.zip", {"a": b"12345678" * 100})
    raw = packed.read_bytes()
    packed.write_bytes(raw.replace((800).to_bytes(4, "little"), (10).to_bytes(4, "little")))

    with pytest.raises(ModelRefused):
        stage(packed, tmp_path / "out")


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    packed = zipped(tmp_path / "m.zip", {"a.json": b"1", "A.json": b"2"})

    with pytest.raises(ModelRefused, match="twice"):
        stage(packed, tmp_path / "out")


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_FILES", 3)
    packed = zipped(tmp_path / "m.zip", {str(number): b"" for number in range(4)})

    with pytest.raises(ModelRefused, match="4 members"):
        stage(packed, tmp_path / "out")


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.zip"
    path.write_bytes(b"not a zip")

    with pytest.raises(ModelRefused, match="neither a folder nor a zip"):
        stage(path, tmp_path / "out")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "", "missing", "."])
def test_a_file_that_a_card_names_must_lie_in_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "x").write_text("secret", encoding="utf-8")

    with pytest.raises(ModelRefused):
        inside(folder, name)


def test_the_digest_of_a_model_changes_with_a_name_and_with_a_byte(tmp_path: Path) -> None:
    one = digest_of({"a": "00", "b": "11"})

    assert one == digest_of({"b": "11", "a": "00"})
    assert one != digest_of({"a": "00", "c": "11"})
    assert one != digest_of({"a": "00", "b": "12"})
