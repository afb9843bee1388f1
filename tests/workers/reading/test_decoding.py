"""Slices that other processes decode are the same, whatever happens to these processes."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000Lossless, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from node.simulator import jpeg_lossless
from tests.workers.synthetic import Phantom, multi_frame, single_frames, write
from workers.errors import SeriesRefused
from workers.reading import decoder, pixels
from workers.reading.decoding import DecoderPool, Request
from workers.reading.instances import read_file
from workers.reading.pixels import stored_values
from workers.reading.volume import load
from workers.reading.volume.load import read_series

SYNTAXES = (JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless)
NOISE = np.random.default_rng(3)
LARGE = Phantom(shape=(4, 192, 160))
"""Its noise does not compress to what is kept in memory (:data:`workers.reading.plain.DEFER_BYTES`)."""


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    made = DecoderPool(2)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "MIN_POOLED", 1)


def noisy(ds: Dataset, syntax: str, *, signed: bool = True) -> None:
    """Replace the pixels by noise of 16 bits in a transfer syntax."""
    shape = (int(ds.get("NumberOfFrames", 1)), int(ds.Rows), int(ds.Columns))
    values = NOISE.integers(-3000, 3000, shape).astype(np.int16)
    if not signed:
        values = (values + 4000).astype(np.int16)
    ds.PixelRepresentation, ds.BitsAllocated, ds.BitsStored, ds.HighBit = int(signed), 16, 16, 15
    ds.PixelData = values.tobytes()
    if syntax == JPEGLosslessSV1:
        ds.PixelData = encapsulate([jpeg_lossless.encode(frame.view(np.uint16), 16) for frame in values])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
        ds.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    else:
        ds.compress(syntax, generate_instance_uid=False)


def series(folder: Path, syntax: str, *, signed: bool = True, enhanced: bool = False) -> list[Path]:
    folder.mkdir(exist_ok=True)
    instances = [multi_frame(LARGE, [2, 0, 1, 3])] if enhanced else single_frames(LARGE)
    return write(folder, instances, lambda ds: noisy(ds, syntax, signed=signed))


def request(path: Path) -> Request:
    ds = read_file(path, defer=True)
    found = pixels._request(ds, (pixels.frame_count(ds), int(ds.Rows), int(ds.Columns)), "")
    assert found is not None
    return found


@pytest.mark.parametrize("enhanced", [False, True])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_series_is_the_same(syntax: str, signed: bool, enhanced: bool, pool: DecoderPool, tmp_path: Path) -> None:
    paths = series(tmp_path, syntax, signed=signed, enhanced=enhanced)
    asked: list[Request] = []
    decode = pool.decode

    class Watched:
        processes = pool.processes

        def decode(self, request: Request) -> object:
            asked.append(request)
            return decode(request)

    beside, alone = read_series(paths, pool=Watched()), read_series(paths)  # type: ignore[arg-type]
    assert len(asked) == (0 if syntax == RLELossless else len(paths))
    np.testing.assert_array_equal(beside.volume.array, alone.volume.array)
    assert beside.planes == alone.planes
    assert all("PixelData" not in ds for ds in beside.sources)


def test_the_processes_decode_and_not_the_worker(
    pool: DecoderPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = series(tmp_path, JPEG2000Lossless)
    alone = read_series(paths)
    monkeypatch.setattr(pixels, "pixel_array", None)
    np.testing.assert_array_equal(read_series(paths, pool=pool).volume.array, alone.volume.array)


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_quick_jpeg_lossless_gives_what_the_ordinary_decoder_gives(predictor: int, bits: int, tmp_path: Path) -> None:
    codecs = pytest.importorskip("imagecodecs", reason="libjpeg-turbo comes with imagecodecs")
    values = NOISE.integers(0, 1 << bits, (192, 160)).astype(np.uint8 if bits == 8 else np.uint16)
    data = codecs.jpeg8_encode(values, lossless=True, predictor=predictor, bitspersample=bits)

    def change(ds: Dataset) -> None:
        ds.PixelData = encapsulate([data])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
        ds.file_meta.TransferSyntaxUID = JPEGLossless
        ds.PixelRepresentation, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 0, values.itemsize * 8, bits, bits - 1

    (path,) = write(tmp_path, single_frames(LARGE)[:1], change)
    quick = decoder._quickly(json.loads(request(path).line()), [data])
    assert quick is not None
    np.testing.assert_array_equal(quick[0], values)
    np.testing.assert_array_equal(stored_values(read_file(path, defer=True))[0], values)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_a_decoder_refuses_is_refused_as_without_processes(syntax: str, pool: DecoderPool, tmp_path: Path) -> None:
    paths = series(tmp_path, syntax)
    data = bytearray(paths[1].read_bytes())
    (frame,) = generate_frames(read_file(paths[1]).PixelData, number_of_frames=1)
    at = data.index(frame)
    data[at : at + 60] = bytes(60)
    paths[1].write_bytes(data)
    with pytest.raises(SeriesRefused) as alone:
        read_series(paths)
    with pytest.raises(SeriesRefused) as beside:
        read_series(paths, pool=pool)
    assert str(alone.value) == str(beside.value)


@pytest.mark.parametrize("enhanced", [False, True])
@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless])
def test_a_truncated_codestream_is_refused_and_not_filled_up(
    syntax: str, beside: bool, enhanced: bool, pool: DecoderPool, tmp_path: Path
) -> None:
    paths = series(tmp_path, syntax, enhanced=enhanced)

    def cut(ds: Dataset) -> None:
        noisy(ds, syntax)
        frames = list(generate_frames(ds.PixelData, number_of_frames=pixels.frame_count(ds)))
        ds.PixelData = encapsulate([*frames[:-1], frames[-1][: len(frames[-1]) * 19 // 20]])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True

    last = multi_frame(LARGE, [2, 0, 1, 3]) if enhanced else single_frames(LARGE)[-1]
    write(tmp_path / "cut", [last], cut)[0].replace(paths[-1])
    with pytest.raises(SeriesRefused, match="truncated"):
        read_series(paths, pool=pool if beside else None)


def crashing(folder: Path, when: str, how: str) -> DecoderPool:
    """Make a pool of one process that does ``how`` with a request for which ``when`` holds, and refuses others."""
    script = folder / "crashing.py"
    script.write_text(
        "import json, os, signal, sys, time\n"
        "while line := sys.stdin.buffer.readline():\n"
        "    request = json.loads(line)\n"
        f"    if {when}:\n"
        f"        {how}\n"
        "    os.write(1, b'-')\n"
    )
    return DecoderPool(1, lambda shared: [sys.executable, "-I", str(script)])


def test_a_crash_of_a_quick_decoder_costs_a_process_and_no_slice(tmp_path: Path) -> None:
    paths = series(tmp_path / "images", JPEGLosslessSV1)
    pool = crashing(tmp_path, f"request['quick'] and request['path'] == {str(paths[2])!r}", "os.abort()")
    try:
        np.testing.assert_array_equal(read_series(paths, pool=pool).volume.array, read_series(paths).volume.array)
    finally:
        pool.close()


@pytest.mark.parametrize(
    "how",
    ["os.abort()", "os.kill(os.getpid(), signal.SIGSEGV)", "signal.setitimer(signal.ITIMER_REAL, 0.2); time.sleep(60)"],
)
def test_data_that_crash_or_hang_every_decoder_are_refused(how: str, tmp_path: Path) -> None:
    paths = series(tmp_path / "images", JPEGLSLossless)
    pool = crashing(tmp_path, f"request['path'] == {str(paths[2])!r}", how)
    try:
        with pytest.raises(SeriesRefused, match="damaged: its decoder crashed"):
            read_series(paths, pool=pool)
        assert pool.decode(request(paths[0])) is None  # another process refuses it: the pool goes on
        assert pool.pids
    finally:
        pool.close()


def test_a_process_that_memory_was_short_for_is_no_fault_of_the_data(tmp_path: Path) -> None:
    (path, *_) = series(tmp_path / "images", JPEGLSLossless)
    pool = crashing(tmp_path, "True", "os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(MemoryError):
        pool.decode(request(path))
    pool.close()


def test_a_killed_process_is_replaced_and_leaves_nothing(tmp_path: Path) -> None:
    (path, *_) = series(tmp_path, JPEGLSLossless)
    before = open_files()
    pool = DecoderPool(1)
    first = pool.decode(request(path))
    (pid,) = pool.pids
    os.kill(pid, signal.SIGKILL)
    np.testing.assert_array_equal(pool.decode(request(path)), first)
    (other,) = pool.pids
    assert other != pid
    assert not Path(f"/proc/{pid}").exists()  # a zombie would be there
    pool.close()
    assert not Path(f"/proc/{other}").exists()
    assert open_files() == before
    assert pool.decode(request(path)) is None


def test_a_pool_that_nobody_holds_ends_its_processes(tmp_path: Path) -> None:
    (path, *_) = series(tmp_path, JPEGLSLossless)
    pool = DecoderPool(1)
    pool.decode(request(path))
    (pid,) = pool.pids
    del pool
    gc.collect()
    assert not Path(f"/proc/{pid}").exists()


def test_closing_does_not_wait_for_a_slice_that_hangs(tmp_path: Path) -> None:
    (path, *_) = series(tmp_path / "images", JPEGLSLossless)
    pool = crashing(tmp_path, "True", "time.sleep(60)")
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(pool.decode(request(path))))
    thread.start()
    while not pool.pids:
        time.sleep(0.01)
    began = time.monotonic()
    pool.close()
    thread.join(20)
    assert found == [None]
    assert time.monotonic() - began < 20
    assert pool.pids == []


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_the_processes_end_with_the_worker_however_it_ends(end: int, tmp_path: Path) -> None:
    paths = series(tmp_path / "images", JPEGLSLossless)
    script = tmp_path / "worker.py"
    script.write_text(
        "import sys, time\nfrom pathlib import Path\n"
        "from workers.reading.volume import load\nfrom workers.reading.decoding import DecoderPool\n"
        "load.MIN_POOLED = 1\npool = DecoderPool(1)\nload.read_series([Path(p) for p in sys.argv[1:]], pool=pool)\n"
        "print(*pool.pids, flush=True)\ntime.sleep(60)\n"
    )
    worker = subprocess.Popen(
        [sys.executable, str(script), *map(str, paths)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(decoder.__file__).parents[2])},
    )
    assert worker.stdout is not None
    pids = worker.stdout.readline().split()
    assert pids
    worker.send_signal(end)
    worker.communicate()
    deadline = time.monotonic() + 20
    while any(running(int(pid)) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(running(int(pid)) for pid in pids)


def running(pid: int) -> bool:
    """Whether a process runs; what its new parent has not buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def open_files() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"[]\n",
        b"null\n",
        b"\xff\n",
        b"[" * 5000 + b"\n",
        b'{"options": {"rows": "9", "columns": 9, "number_of_frames": 9}}\n',
        b'{"options": {"rows": 1e308, "columns": 1e308, "number_of_frames": 1}}\n',
    ],
)
def test_a_request_that_is_none_is_answered(line: bytes) -> None:
    assert decoder.answer(line, -1) == decoder.FAILED


def test_a_request_for_another_size_is_not_done(pool: DecoderPool, tmp_path: Path) -> None:
    (path, *_) = series(tmp_path, JPEGLSLossless)
    asked = request(path)
    frames, rows, columns = asked.shape
    assert pool.decode(replace(asked, shape=(frames, rows + 1, columns))) is None
    assert pool.decode(replace(asked, path=str(tmp_path / "none"))) is None
    assert pool.decode(replace(asked, syntax="1.2.3")) is None
    assert pool.decode(replace(asked, shape=(frames, 1 << 16, 1 << 16))) is None
    assert pool.decode(asked) is not None


def test_few_slices_start_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "MIN_POOLED", 5)
    pool = DecoderPool(1)
    read_series(series(tmp_path, JPEGLSLossless), pool=pool)
    assert pool.pids == []
    pool.close()
