"""The watched folder: what is taken, what is put away where, and that nothing is lost on the way."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from node.dicom import watch, watchfolder
from node.dicom.landing import Taker
from node.dicom.part10 import Command
from node.dicom.watch import Watch
from node.dicom.watchfolder import Folder, Gone, Identity
from node.settings import Settings
from tests.node.dicom.objects import BIG, EXPLICIT, IMPLICIT, encoded, image
from tests.node.dicom.takers import MemoryTaker, part10, real_intake

SETTLE = 2.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A watch on a folder, with time in the hands of the test."""

    def __init__(self, root: Path, taker: Taker, **settings: Any) -> None:
        self.inbox = root / "in"
        self.inbox.mkdir(exist_ok=True)
        self.root = root
        changes = {"node": {"root": root}, "watch": {"path": self.inbox, "settle_seconds": SETTLE}} | settings
        self.settings = Settings.model_validate(changes)
        self.clock = Clock()
        self.watch = Watch(self.settings, self.inbox, taker, self.clock)

    def put(self, name: str, data: bytes) -> Path:
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def run(self, seconds: float = 10.0) -> None:
        """Let time pass in half seconds."""
        for _ in range(int(seconds * 2)):
            self.clock.now += 0.5
            while self.watch.work():
                pass

    def files(self) -> list[str]:
        found = (path for path in self.inbox.rglob("*") if path.is_file() and path.name != watchfolder.LOCK)
        return sorted(str(path.relative_to(self.inbox)) for path in found)


@pytest.fixture
def taker() -> MemoryTaker:
    return MemoryTaker()


@pytest.fixture
def make(tmp_path: Path, taker: MemoryTaker) -> Callable[..., Bench]:
    return lambda intake=taker, **settings: Bench(tmp_path, intake, **settings)


@pytest.fixture
def bench(make: Callable[..., Bench]) -> Bench:
    return make()


# ---------------------------------------------------------------------- what is taken


def test_a_file_is_taken_once_it_has_settled_and_deleted_after_success(bench: Bench, taker: MemoryTaker) -> None:
    uid, data = part10()
    bench.put("sub/folder/image", data)
    bench.run(SETTLE - 1)
    assert taker.taken == []
    bench.run(3)
    assert taker.uids == [uid]
    assert data.endswith(taker.taken[0][2])
    assert taker.taken[0][1].calling_ae_title == "WATCHED-FOLDER"
    assert bench.files() == []


def test_a_file_that_still_grows_is_left_alone(bench: Bench, taker: MemoryTaker) -> None:
    _, data = part10()
    path = bench.put("image", data[:200])
    for length in range(200, len(data), 40):
        bench.run(1.5)
        path.write_bytes(data[:length])
    bench.run(1.5)
    path.write_bytes(data)
    assert (taker.taken, taker.refused) == ([], [])
    bench.run(5)
    assert len(taker.taken) == 1


def test_with_move_a_file_goes_to_accepted_under_its_own_name(make: Callable[..., Bench], tmp_path: Path) -> None:
    bench = make(watch={"path": tmp_path / "in", "after": "move", "settle_seconds": SETTLE})
    bench.put("a/image", part10()[1])
    bench.run()
    bench.put("a/image", part10()[1])
    bench.run()
    assert bench.files() == [".accepted/a/image", ".accepted/a/image.1"]


def test_through_the_real_intake_files_are_in_the_spool(make: Callable[..., Bench], tmp_path: Path) -> None:
    intake, sink = real_intake(tmp_path)
    bench = make(intake)
    uid, data = part10()
    bench.put("image", data)
    bench.run()
    (stored,) = sink.stored
    assert dcmread(tmp_path / "spool" / stored.path).SOPInstanceUID == uid
    assert sink.ended == [stored.association]
    assert bench.files() == []


def test_what_was_taken_but_not_put_away_before_a_crash_is_taken_again_as_the_same(
    make: Callable[..., Bench], tmp_path: Path
) -> None:
    intake, sink = real_intake(tmp_path)
    _, data = part10()
    for _ in range(2):
        bench = make(intake)
        bench.put("image", data)  # the second time as if the first process had died before it deleted the file
        bench.run()
        bench.watch.stop()
    assert len({stored.path for stored in sink.stored}) == 1
    assert len(sink.stored) == 2
    assert bench.files() == []


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize("headed", ["no preamble", "no meta"])
def test_files_without_preamble_or_meta_are_taken_where_they_are_unambiguous(
    make: Callable[..., Bench], tmp_path: Path, syntax: str, headed: str
) -> None:
    intake, sink = real_intake(tmp_path)
    bench = make(intake)
    ds = image()
    uid, data = part10(syntax, SOPInstanceUID=ds.SOPInstanceUID)
    bench.put("image", data[132:] if headed == "no preamble" else encoded(ds, syntax))
    bench.run()
    (stored,) = sink.stored
    assert (stored.command.sop_instance, stored.command.transfer_syntax) == (uid, syntax)
    assert dcmread(tmp_path / "spool" / stored.path).PatientName == "Example^Robin"
    assert bench.files() == []


def test_compressed_pixels_without_a_transfer_syntax_are_refused_because_nobody_knows_the_codec(bench: Bench) -> None:
    ds = image(PixelData=None)
    fragments = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x04\0\0\0\xff\xd8\xff\xd9\xfe\xff\xdd\xe0\0\0\0\0"
    bench.put("image", encoded(ds) + b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + fragments)
    bench.run()
    assert bench.files() == [".refused/image", ".refused/image.txt"]
    assert "Transfer Syntax" in (bench.inbox / ".refused/image.txt").read_text()


def test_a_burst_of_files_is_one_association_that_ends_when_nothing_is_left(bench: Bench, taker: MemoryTaker) -> None:
    for number in range(3):
        bench.put(f"{number}", part10()[1])
    bench.run(1)
    bench.put("late", part10()[1])
    bench.run(1.5)
    assert (len(taker.taken), taker.ended) == (3, [])
    bench.run(5)
    assert len(taker.taken) == 4
    assert taker.ended == [taker.taken[0][0]]
    assert len({association for association, _, _ in taker.taken}) == 1
    bench.put("next", part10()[1])
    bench.run()
    assert len(set(taker.ended)) == 2


# ---------------------------------------------------------------------- what is not


@pytest.mark.parametrize("data", [b"no DICOM", b"\0" * 1000, b"DICM" * 100], ids=["text", "zeros", "marks"])
def test_what_is_no_dicom_goes_to_refused_with_a_sentence_beside_it(
    make: Callable[..., Bench], tmp_path: Path, data: bytes
) -> None:
    intake, sink = real_intake(tmp_path)
    bench = make(intake)
    bench.put("Zweifel^Hildegard.doc", data)
    bench.run()
    assert bench.files() == [".refused/Zweifel^Hildegard.doc", ".refused/Zweifel^Hildegard.doc.txt"]
    assert (bench.inbox / ".refused/Zweifel^Hildegard.doc").read_bytes() == data
    text = (bench.inbox / ".refused/Zweifel^Hildegard.doc.txt").read_text()
    assert text.startswith("Refused with status C000: ")
    assert not any("Zweifel" in note.text for note in sink.notes)
    assert "Zweifel" not in text
    assert [note.kind for note in sink.notes] == ["instance.refused"]


def test_the_intakes_refusal_is_told_with_its_status_and_reason(make: Callable[..., Bench]) -> None:
    bench = make(MemoryTaker(lambda _: (0xC001, "another object has this UID")))
    _, data = part10()
    bench.put("image", data)
    bench.run()
    assert (bench.inbox / ".refused/image").read_bytes() == data
    expected = "Refused with status C001: another object has this UID.\n"
    assert (bench.inbox / ".refused/image.txt").read_text() == expected


def test_a_file_over_the_limit_is_refused_and_not_tried_for_ever(
    make: Callable[..., Bench], taker: MemoryTaker
) -> None:
    bench = make(dicom={"max_instance_bytes": 1 << 20})
    bench.put("large", part10(Rows=1024, Columns=1024, PixelData=bytes(2 << 20))[1])
    bench.run()
    assert bench.files() == [".refused/large", ".refused/large.txt"]
    assert [status for status, _ in taker.refused] == [0xA701]


def test_dicomdir_hidden_files_and_links_are_left_where_they_are(
    bench: Bench, taker: MemoryTaker, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "image").write_bytes(part10()[1])
    (bench.inbox / "link").symlink_to(outside / "image")
    (bench.inbox / "folder").symlink_to(outside)
    os.mkfifo(bench.inbox / "pipe")
    bench.put(".hidden", part10()[1])
    bench.put(".hidden-folder/image", part10()[1])
    _, directory = part10()
    bench.put("DICOMDIR", directory.replace(b"1.2.840.10008.5.1.4.1.1.4\0", b"1.2.840.10008.1.3.10\0\0\0\0\0\0", 1))
    before = bench.files()
    bench.run()
    assert (taker.taken, taker.refused) == ([], [])
    assert bench.files() == before
    assert (outside / "image").exists()


def test_a_tree_without_end_is_not_followed_without_end(
    bench: Bench, taker: MemoryTaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchfolder, "MAX_DEPTH", 3)
    bench.put("a/b/c/near", part10()[1])
    bench.put("a/b/c/d/far", part10()[1])
    bench.run()
    assert len(taker.taken) == 1
    assert bench.files() == ["a/b/c/d/far"]


def test_an_empty_file_is_given_time_to_be_filled(bench: Bench, taker: MemoryTaker) -> None:
    path = bench.put("image", b"")
    bench.run(20)
    assert taker.refused == []
    path.write_bytes(part10()[1])
    bench.run(5)
    assert len(taker.taken) == 1
    bench.put("never", b"")
    bench.run(watch.EMPTY_SECONDS + 5)
    assert bench.files() == [".refused/never", ".refused/never.txt"]


# ---------------------------------------------------------------------- not now


def test_a_full_spool_leaves_files_in_place_and_they_are_taken_when_there_is_room(
    make: Callable[..., Bench],
) -> None:
    full = True
    asked: list[Command] = []

    def answer(command: Command) -> tuple[int, str]:
        asked.append(command)
        return (0xA700, "no room") if full else (0, "")

    taker = MemoryTaker(answer)
    bench = make(taker)
    for name in ("a", "b"):
        bench.put(name, part10()[1])
    bench.run(200)
    assert bench.files() == ["a", "b"]
    assert 5 <= len(asked) <= 12  # with growing pauses, and not each file for itself
    assert [kind for kind, _ in taker.notes] == ["watch.waiting"]
    full = False
    bench.run(watch.LONGEST_WAIT_SECONDS + 5)
    assert len(taker.taken) == 2
    assert bench.files() == []


def test_below_the_watermark_no_file_is_even_copied(make: Callable[..., Bench], taker: MemoryTaker) -> None:
    bench = make(dicom={"min_free_bytes": 1 << 62})
    bench.put("image", part10()[1])
    bench.run()
    assert bench.files() == ["image"]
    assert (taker.taken, taker.refused) == ([], [])


def test_a_missing_folder_is_told_once_and_so_is_its_return(bench: Bench, taker: MemoryTaker) -> None:
    bench.inbox.rmdir()
    bench.run(20)
    assert [kind for kind, _ in taker.notes] == ["watch.failed"]
    bench.inbox.mkdir()
    bench.put("image", part10()[1])
    bench.run()
    assert [kind for kind, _ in taker.notes] == ["watch.failed", "watch.recovered"]
    assert len(taker.taken) == 1


def test_a_folder_or_file_that_cannot_be_read_is_told_once_and_holds_up_no_other(
    bench: Bench, taker: MemoryTaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.put("open", part10()[1])
    bench.put("closed/image", part10()[1])
    bench.put("secret", part10()[1])
    real_open, real_scandir = os.open, os.scandir

    def guarded_open(path: Any, *args: Any, **kwargs: Any) -> int:
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied")
        return real_open(path, *args, **kwargs)

    def guarded_scandir(path: str) -> Any:
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return real_scandir(path)

    monkeypatch.setattr(os, "open", guarded_open)
    monkeypatch.setattr(os, "scandir", guarded_scandir)
    bench.run(100)
    assert len(taker.taken) == 1
    assert len(taker.ended) == 1
    assert sorted(text for kind, text in taker.notes if kind == "watch.failed") == [
        "A file of the watched folder cannot be read: Permission denied.",
        "The watched folder, or a part of it, cannot be read: Permission denied.",
    ]
    monkeypatch.undo()
    bench.run(watch.LONGEST_WAIT_SECONDS + 5)
    assert len(taker.taken) == 3


def test_a_file_that_cannot_be_deleted_is_taken_once_and_deleted_when_it_can_be(
    bench: Bench, taker: MemoryTaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Folder, "_move", fails)
    bench.put("image", part10()[1])
    bench.run(100)
    assert len(taker.taken) == 1
    assert bench.files() == ["image"]
    assert len(taker.notes) == 1
    monkeypatch.undo()
    bench.run(watch.LONGEST_WAIT_SECONDS + 5)
    assert len(taker.taken) == 1
    assert bench.files() == []


# ---------------------------------------------------------------------- others at the same folder


def test_one_process_works_on_a_folder_and_another_goes_on_where_it_ends(tmp_path: Path) -> None:
    first, second = MemoryTaker(), MemoryTaker()
    one, two = Bench(tmp_path, first), Bench(tmp_path, second)
    one.put("a", part10()[1])
    one.run()
    one.put("b", part10()[1])
    two.run()
    assert (len(first.taken), len(second.taken)) == (1, 0)
    one.watch.stop()
    two.run()
    assert len(second.taken) == 1
    assert two.files() == []


def test_two_processes_at_once_lose_nothing_even_without_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Folder, "hold", lambda _: True)
    intake, sink = real_intake(tmp_path)
    settings = Settings.model_validate({"node": {"root": tmp_path}, "watch": {"settle_seconds": 0}})
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.0)
    inbox = tmp_path / "in"
    inbox.mkdir()
    watches = [Watch(settings, inbox, intake) for _ in range(2)]
    stop = threading.Event()

    def work(item: Watch) -> None:
        while not stop.is_set():
            item.work()

    threads = [threading.Thread(target=work, args=(item,)) for item in watches]
    for thread in threads:
        thread.start()
    sent = set()
    for number in range(60):
        uid, data = part10()
        sent.add(uid)
        hidden = inbox / ".part"
        hidden.write_bytes(data)
        hidden.rename(inbox / f"{number % 5}")  # a sender that uses names again: it may replace what was not taken
        while (inbox / f"{number % 5}").exists():
            pass
    stop.set()
    for thread in threads:
        thread.join()
    assert {stored.command.sop_instance for stored in sink.stored} == sent


def test_a_file_that_replaces_the_taken_one_at_the_last_moment_is_not_deleted_for_it(
    make: Callable[..., Bench], tmp_path: Path
) -> None:
    newer, data = part10()

    def answer(command: Command) -> tuple[int, str]:
        if command.sop_instance != newer:
            (tmp_path / "arriving").write_bytes(data)
            (tmp_path / "arriving").rename(tmp_path / "in" / "image")
        return 0, ""

    taker = MemoryTaker(answer)
    bench = make(taker)
    older, first = part10()
    bench.put("image", first)
    bench.run(4)
    assert taker.uids == [older]
    assert bench.files() == ["image"]
    bench.run(10)
    assert taker.uids == [older, newer]
    assert bench.files() == []


def test_a_file_that_grew_while_it_was_taken_is_not_deleted_and_taken_again(
    make: Callable[..., Bench], tmp_path: Path
) -> None:
    uid, data = part10()
    grown: list[bool] = []

    def answer(_: Command) -> tuple[int, str]:
        if not grown:
            grown.append(True)
            with (tmp_path / "in" / "image").open("ab") as stream:
                stream.write(b"\xfc\xff\xfc\xffOB\0\0\0\0\0\0")
        return 0, ""

    taker = MemoryTaker(answer)
    bench = make(taker)
    bench.put("image", data)
    bench.run(3.5)
    assert taker.uids == [uid]
    assert bench.files() == ["image"]
    bench.run(10)
    first, second = (content for _, _, content in taker.taken)
    assert data.endswith(first)
    assert second == first + b"\xfc\xff\xfc\xffOB\0\0\0\0\0\0"
    assert bench.files() == []


@pytest.mark.parametrize("links", [True, False])
def test_what_is_put_back_never_covers_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    folder, path = Folder(tmp_path), tmp_path / "image"
    path.write_bytes(b"old")
    seen = Identity.of(path.lstat())
    path.unlink()
    path.write_bytes(b"newer")

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(95, "Operation not supported")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(Gone):
        folder.delete(path, seen)
    assert [item.read_bytes() for item in tmp_path.rglob("*") if item.is_file()] == [b"newer"]
    assert next(item for item in tmp_path.iterdir() if item.is_file()).parent == tmp_path


def test_long_names_are_put_away_under_names_that_the_file_system_allows(bench: Bench) -> None:
    for letter in "ab":
        bench.put("ü" * 126 + letter, b"no DICOM")
    bench.run()
    found = sorted((bench.inbox / ".refused").iterdir())
    assert len(found) == 4
    assert all(len(os.fsencode(path.name)) <= 255 for path in found)


def test_the_copy_leaves_nothing_behind(make: Callable[..., Bench], tmp_path: Path) -> None:
    intake, _ = real_intake(tmp_path)
    bench = make(intake)
    bench.put("good", part10(SOPInstanceUID=generate_uid())[1])
    bench.put("bad", b"no DICOM")
    bench.run()
    incoming = tmp_path / "spool" / "incoming"
    assert [path for path in incoming.rglob("*") if path.is_file() and path.suffix != ".lock"] == []
