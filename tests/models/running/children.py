"""What stands in for the process that runs models: it hangs, crashes, eats memory, or answers."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from models.contracts import (
    Code,
    Finding,
    InputKind,
    InputRequirements,
    ModelCard,
    Prediction,
    Record,
    ScalarMap,
    Source,
    Volume,
)
from models.running import child, transport
from models.running.answers import Answers, Outcome
from models.running.options import RunOptions

WORD = Code("1", "99TEST", "Word")
CARD = ModelCard(
    name="obedient",
    version="7",
    title="",
    summary="",
    requirements=InputRequirements((), kind=InputKind.RECORD),
    outputs=(),
    weights_sha256="",
    data="",
    licence="",
    intended_use="",
    limits=(),
)


def obedient(connection: Connection, options: RunOptions, parent: int) -> None:
    """Does what the model's name says."""
    child.belong_to(parent)
    child.serve(connection, _answer, parent)


def _answer(model: str, sources: Sequence[Source]) -> Answers:
    for source in sources:
        if isinstance(source, Record) and source.sex == "O":  # the one that spoils a batch
            os.kill(os.getpid(), signal.SIGSEGV)
    if model == "hangs":
        time.sleep(600)
    if model == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if model == "exits":
        os._exit(7)
    if model.startswith("hangs-with-child"):
        started = subprocess.Popen(["sleep", "600"], start_new_session=True)
        Path(model.partition(":")[2]).write_text(str(started.pid), encoding="ascii")
        time.sleep(600)
    return Answers(tuple(_outcome(source) for source in sources), CARD, batch=4)


def _outcome(source: Source) -> Outcome:
    if not isinstance(source, Volume):
        return Prediction((Finding("who", WORD, text=str(os.getpid())),))
    source.array[0, 0, 0] = -7.0  # what a model writes into its input is its own
    labels = (source.array > 0).astype(np.uint8)
    return Prediction((), labels, maps=(ScalarMap("double", "Double", WORD, WORD, source.array * 2),))


def strange(connection: Connection, options: RunOptions, parent: int) -> None:
    """Answers with what is no answer."""
    connection.send_bytes(child.READY.encode())
    transport.receive(connection)
    transport.send(connection, {"outcomes": []}, parent)
    time.sleep(600)


def silent(connection: Connection, options: RunOptions, parent: int) -> None:
    """Never gets ready, and ends at once."""
