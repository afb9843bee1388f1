from __future__ import annotations

import os
import pickle
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from models.contracts import Channel, Code, Geometry, Prediction, Radiograph, Record, RecordValue, Volume, Waveform
from models.running import transport
from models.running.answers import Answers, Failure

Ends = tuple[Connection, Connection]


@pytest.fixture(scope="module")
def ends() -> Iterator[Ends]:
    one, other = Pipe()
    with one, other:
        yield one, other


def passed(ends: Ends, item: object) -> Any:
    transport.send(ends[0], item, os.getpid())
    return transport.receive(ends[1])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        hnp.arrays(
            st.sampled_from([np.float32, np.float64, np.uint8, np.int16, np.bool_]),
            hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=40),
        ),
        max_size=4,
    )
)
def test_arrays_of_any_shape_come_as_they_went(ends: Ends, arrays: list[npt.NDArray[Any]]) -> None:
    found = passed(ends, {"arrays": arrays, "turned": [array.T for array in arrays]})
    for before, after, turned in zip(arrays, found["arrays"], found["turned"], strict=True):
        assert (after.dtype, after.shape) == (before.dtype, before.shape)
        np.testing.assert_array_equal(after, before)
        np.testing.assert_array_equal(turned, before.T)
        assert after.flags.writeable


def test_sources_and_answers_come_as_they_went(ends: Ends) -> None:
    record = Record((RecordValue("2160-0", 88.0, "umol/L", -2.0),), 71.5, "F")
    wave = Waveform(np.zeros((1, 50), np.float32), 500.0, (Channel("II", Code("2:2", "MDC", "Lead II"), "mV"),), "ECG")
    image = Radiograph(np.ones((4, 6), np.float32), "DX", "PA", (0.1, 0.1), {"BodyPartExamined": "CHEST"}, record)
    assert passed(ends, record) == record
    assert passed(ends, wave).channels == wave.channels
    assert passed(ends, image).attributes["BodyPartExamined"] == "CHEST"
    scored = Prediction((), scores={"probability": np.float32(0.25), "out_of_scope": 1.0})  # type: ignore[dict-item]
    answers = passed(ends, Answers((scored, Failure("no", declined=True))))
    assert answers.outcomes[0].scores == {"probability": 0.25, "out_of_scope": 1.0}
    assert answers.outcomes[1] == Failure("no", declined=True)


def test_half_a_gigabyte_goes_through_without_standing_in_a_pipe(ends: Ends) -> None:
    array = np.zeros((128, 1024, 1024), np.float32)
    array[-1, -1, -1] = 5.0
    assert passed(ends, array)[-1, -1, -1] == 5.0


@dataclass(frozen=True, eq=False)
class Located(Geometry):
    """What a worker knows of a place besides the contract."""

    steps: tuple[float, ...] = ()


def test_of_a_subclass_comes_what_the_contract_has(ends: Ends) -> None:
    found = passed(ends, Volume(np.zeros((2, 3, 4), np.float32), Located(np.eye(4), (2, 3, 4), (1.0,)), "CT"))
    assert type(found.geometry) is Geometry
    assert found.geometry.shape == (2, 3, 4)
    np.testing.assert_array_equal(found.geometry.affine, np.eye(4))


class Evil:
    """Runs a command where it is unpickled."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.way = (function, arguments)

    def __reduce__(self) -> tuple[Any, tuple[object, ...]]:
        return self.way


@pytest.mark.parametrize("function", [os.system, eval, getattr, pickle.loads, np.load])
def test_a_stream_that_calls_anything_else_is_refused(ends: Ends, function: Any) -> None:
    with pytest.raises(transport.BadMessage, match="must not"):
        passed(ends, Evil(function, "true"))


@pytest.mark.parametrize("name", ["Volume.__init__.__globals__", "dataclass", "field", "Volume.__class__"])
def test_names_that_reach_through_a_module_of_ours_are_refused(name: str) -> None:
    stream = pickle.PROTO + b"\x04" + _text("models.contracts.sources") + _text(name) + pickle.STACK_GLOBAL + b"."
    with pytest.raises(transport.BadMessage):
        transport._Reader(__import__("io").BytesIO(stream)).load()


def _text(word: str) -> bytes:
    return pickle.SHORT_BINUNICODE + struct.pack("<B", len(word)) + word.encode()


@pytest.mark.parametrize(
    ("header", "held"),
    [
        (b"", 64),
        (struct.pack("<QI", 64, 2) + struct.pack("<Q", 64), 64),
        (struct.pack("<QIQ", 128, 1, 100), 64),
        (struct.pack("<QIQ", 64, 1, 1 << 60), 64),
        (struct.pack("<QI", 0, 0), 0),
    ],
)
def test_a_header_that_does_not_fit_its_memory_is_refused(ends: Ends, header: bytes, held: int) -> None:
    descriptor = transport._memory()
    os.truncate(descriptor, held)
    ends[0].send_bytes(header)
    send_handle(ends[0], descriptor, os.getpid())
    os.close(descriptor)
    with pytest.raises(transport.BadMessage):
        transport.receive(ends[1])


def test_the_memory_has_no_name_and_is_given_back(ends: Ends) -> None:
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    found = passed(ends, Volume(np.ones((8, 64, 64), np.float32), None, "CT"))  # type: ignore[arg-type]
    assert found.array.sum() == 8 * 64 * 64
    del found
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
