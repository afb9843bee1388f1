from __future__ import annotations

import datetime as dt
import fcntl
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.dicom import ledger as module
from node.dicom.ledger import Ended, Entry, Ledger, LedgerReader, Noted, Stored, decode, encode
from node.dicom.part10 import Command
from node.errors import OutOfResources
from node.records.states import Level

TEXT = st.text(max_size=40)
TIMES = st.datetimes(timezones=st.just(dt.UTC))
COMMANDS = st.builds(Command, TEXT, TEXT, TEXT, TEXT, TEXT)
ENTRIES: st.SearchStrategy[Entry] = st.one_of(
    st.builds(Stored, TEXT, COMMANDS, TEXT, st.integers(0, 1 << 62), TEXT, st.binary(max_size=40), TIMES),
    st.builds(Ended, TEXT, TIMES),
    st.builds(Noted, TEXT, TEXT, st.sampled_from(get_args(Level)), TEXT, TIMES),
)


def noted(number: int, text: str = "A line.") -> Noted:
    return Noted(f"kind.{number}", text)


def kinds(entries: list[Entry]) -> list[str]:
    return [entry.kind for entry in entries if isinstance(entry, Noted)]


@given(ENTRIES)
def test_an_entry_is_one_line_and_comes_back_as_it_was(entry: Entry) -> None:
    line = encode(entry)
    assert decode(line) == entry
    assert line.isascii()
    assert line.count(b"\n") == 1 == line.endswith(b"\n")


@given(
    st.one_of(
        st.binary(max_size=80), ENTRIES.map(encode).flatmap(lambda x: st.integers(0, len(x) - 2).map(lambda n: x[:n]))
    )
)
def test_any_other_line_is_no_entry_and_breaks_nothing(line: bytes) -> None:
    with pytest.raises(ValueError):
        decode(line)


@pytest.mark.parametrize(
    "line", [b"[]", b"{}", b"1", b'["stored"]', b'["ended", 1]', b'[["stored"], "x"]', b"[" * 9000]
)
def test_json_that_is_no_entry_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):
        decode(line)


def test_what_is_put_is_read_once_and_in_order(tmp_path: Path) -> None:
    ledger, reader = Ledger(tmp_path), LedgerReader(tmp_path)
    for number in range(10):
        ledger.put(noted(number))
    assert [kinds(reader.batch(4)[0]) for _ in range(4)] == [
        ["kind.0", "kind.1", "kind.2", "kind.3"], ["kind.4", "kind.5", "kind.6", "kind.7"], ["kind.8", "kind.9"], []
    ]  # fmt: skip
    assert reader.idle()
    ledger.put(noted(10))
    assert not reader.idle()
    assert kinds(reader.batch(4)[0]) == ["kind.10"]
    ledger.close()


def test_a_reader_that_starts_again_reads_everything_that_was_not_done(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.put(noted(1))
    ledger.close()
    assert kinds(LedgerReader(tmp_path).batch(9)[0]) == ["kind.1"]
    reader = LedgerReader(tmp_path)
    assert kinds(reader.batch(9)[0]) == ["kind.1"]
    reader.done()
    assert LedgerReader(tmp_path).batch(9)[0] == []
    assert list(tmp_path.iterdir()) == []


def test_a_part_is_removed_only_when_it_was_read_to_its_end_and_nobody_writes_it(tmp_path: Path) -> None:
    ledger, reader = Ledger(tmp_path), LedgerReader(tmp_path)
    for number in range(3):
        ledger.put(noted(number))
    reader.batch(9)
    reader.done()
    assert len(list(tmp_path.iterdir())) == 1  # its writer lives
    ledger.put(noted(3))
    ledger.close()
    reader.done()
    assert len(list(tmp_path.iterdir())) == 1  # not read to its end
    assert kinds(reader.batch(9)[0]) == ["kind.3"]
    reader.done()
    assert list(tmp_path.iterdir()) == []


def test_a_long_part_is_continued_in_another_and_nothing_is_lost_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROTATE_BYTES", 300)
    ledger, reader = Ledger(tmp_path), LedgerReader(tmp_path)
    read: list[str] = []
    for number in range(60):
        ledger.put(noted(number))
        if number % 7 == 0:
            read += kinds(reader.batch(100)[0])
            reader.done()
    assert len(list(tmp_path.iterdir())) < 6
    read += kinds(reader.batch(100)[0])
    ledger.close()
    assert read == [f"kind.{number}" for number in range(60)]


def test_two_writers_with_many_threads_and_a_reader_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROTATE_BYTES", 2000)
    ledgers, reader = [Ledger(tmp_path), Ledger(tmp_path)], LedgerReader(tmp_path)
    read: list[Entry] = []

    def write(thread: int) -> None:
        for number in range(300):
            ledgers[thread % 2].put(Noted(f"{thread}", f"{number}"))

    threads = [threading.Thread(target=write, args=(thread,)) for thread in range(6)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or not reader.idle():
        entries, broken = reader.batch(50)
        assert not broken
        read += entries
        reader.done()
    for ledger in ledgers:
        ledger.close()
    reader.done()
    assert list(tmp_path.iterdir()) == []
    for kind in map(str, range(6)):
        lines = [entry.text for entry in read if isinstance(entry, Noted) and entry.kind == kind]
        assert lines == [str(number) for number in range(300)]


def test_a_part_that_is_removed_before_its_writer_has_locked_it_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock
    removed: list[Path] = []

    def late(descriptor: int, operation: int) -> None:
        if not removed:
            removed.extend(tmp_path.iterdir())
            removed[0].unlink()
        lock(descriptor, operation)

    monkeypatch.setattr("node.dicom.ledger.fcntl.flock", late)
    ledger = Ledger(tmp_path)
    ledger.put(noted(1))
    assert kinds(LedgerReader(tmp_path).batch(9)[0]) == ["kind.1"]
    ledger.close()


def test_half_a_line_is_waited_for_while_its_writer_lives_and_skipped_when_it_is_dead(tmp_path: Path) -> None:
    line = encode(noted(2))
    path = tmp_path / "1.jsonl"
    with path.open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.write(encode(noted(1)) + line[:9])
        stream.flush()
        reader = LedgerReader(tmp_path)
        assert (kinds(reader.batch(9)[0]), reader.batch(9)) == (["kind.1"], ([], 0))
        assert not reader.idle()
        stream.write(line[9:] + line[:5])
        stream.flush()
        assert kinds(reader.batch(9)[0]) == ["kind.2"]
        assert not reader.idle()
    assert reader.batch(9) == ([], 0)
    assert reader.idle()
    reader.done()
    assert not path.exists()


def test_a_line_that_is_completed_while_the_reader_looks_is_not_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = encode(noted(1))
    path = tmp_path / "1.jsonl"
    path.write_bytes(line[:9])

    def meanwhile(_: int) -> bool:
        path.write_bytes(line)
        return True  # and the writer has closed it

    monkeypatch.setattr(module, "_abandoned", meanwhile)
    reader = LedgerReader(tmp_path)
    assert reader.batch(9) == ([], 0)
    assert kinds(reader.batch(9)[0]) == ["kind.1"]


def test_a_line_that_cannot_be_written_whole_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, reader = Ledger(tmp_path), LedgerReader(tmp_path)
    ledger.put(noted(1))
    write = os.write
    left = [20]

    def filling(descriptor: int, data: memoryview) -> int:
        if not left[0]:
            raise OSError(28, "No space left on device")
        count = write(descriptor, data[: left[0]])
        left[0] -= count
        return count

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", filling)
        with pytest.raises(OutOfResources):
            ledger.put(noted(2))
    ledger.put(noted(3))
    assert kinds(reader.batch(9)[0]) == ["kind.1", "kind.3"]
    ledger.close()
    reader.done()
    assert list(tmp_path.iterdir()) == []


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    ledger = Ledger(tmp_path)
    ledger.put(noted(1))
    ledger.close()
    assert kinds(LedgerReader(tmp_path).batch(9)[0]) == ["kind.1"]


def test_a_folder_that_cannot_be_written_is_out_of_resources(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_bytes(b"a file")
    with pytest.raises(OutOfResources):
        Ledger(tmp_path / "ledger").put(noted(1))


def test_lines_that_are_no_entries_are_counted_and_passed_over(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_bytes(b"nonsense\n" + encode(noted(1)) + b"\0\0\0\n" + encode(noted(2)))
    entries, broken = LedgerReader(tmp_path).batch(9)
    assert (kinds(entries), broken) == (["kind.1", "kind.2"], 2)


def test_a_part_that_cannot_be_read_does_not_lose_the_entries_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.jsonl").write_bytes(encode(noted(number)))
    reader = LedgerReader(tmp_path)
    path_open = Path.open

    def refuse(self: Path, mode: str, buffering: int = -1) -> object:
        if self.name == "1.jsonl":
            raise OSError(5, "Input/output error")
        return path_open(self, mode, buffering)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        assert kinds(reader.batch(9)[0]) == ["kind.0", "kind.2"]
        with pytest.raises(OSError, match="Input"):
            reader.batch(9)
    assert kinds(reader.batch(9)[0]) == ["kind.1"]


def test_a_part_that_somebody_removed_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_bytes(encode(noted(1)))
    reader = LedgerReader(tmp_path)
    reader.batch(9)
    (tmp_path / "1.jsonl").unlink()
    reader.done()
    assert reader.idle()
    assert reader._offsets == {}


def test_a_writer_that_is_killed_has_written_what_it_put(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from node.dicom.ledger import Ledger, Noted
        ledger = Ledger(Path(sys.argv[1]))
        for number in range(50):
            ledger.put(Noted(f"kind.{number}", "A line."))
        os.write(ledger._descriptor, b'["noted", "half')
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    reader = LedgerReader(tmp_path)
    assert kinds(reader.batch(99)[0]) == [f"kind.{number}" for number in range(50)]
    assert reader.idle()
    reader.done()
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_is_being_written_is_never_seen_in_two_pieces(tmp_path: Path) -> None:
    """A reader that goes on after the end of the file finds the rest of the line there, and two lines that are none."""
    path, count = tmp_path / "00000000000000000001-1.jsonl", 4000
    path.touch()
    code = """
        import fcntl, sys
        line = '["noted", "kind.%d", "' + "x" * 300 + '", "warning", "", "2026-01-02T03:04:05+00:00"]\\n'
        with open(sys.argv[1], "ab", buffering=0) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            for number in range(int(sys.argv[2])):
                data = (line % number).encode()
                for start in range(0, len(data), 20):
                    stream.write(data[start : start + 20])
    """
    reader = LedgerReader(tmp_path)
    found: list[Entry] = []
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(path), str(count)]) as writer:
        while len(found) < count and (writer.poll() is None or not reader.idle()):
            entries, broken = reader.batch(500)
            assert broken == 0
            found += entries
    assert kinds(found) == [f"kind.{number}" for number in range(count)]
