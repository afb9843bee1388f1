from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from node import logs
from node.errors import ConfigError


@pytest.fixture(autouse=True)
def configured(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)  # put back after the test
    logs.configure(level="INFO", json=True)


def line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return dict(json.loads(capsys.readouterr().err))


def test_a_field_that_is_not_on_the_list_is_withheld(capsys: pytest.CaptureFixture[str]) -> None:
    logs.get("receiver").info("stored", patient_name="Doe^Jane", count=3)
    said = line(capsys)
    assert said["patient_name"] == logs.WITHHELD
    assert said["count"] == 3
    assert "Doe" not in str(said)


def test_foreign_exception_texts_are_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    logs.get("receiver").error("failed", error=ValueError("invalid value 'Doe^Jane'"))
    assert line(capsys)["error"] == "ValueError"


def test_our_exceptions_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    logs.get("receiver").error("failed", error=ConfigError("dicom.port: unknown key"))
    assert "dicom.port" in line(capsys)["error"]


def test_an_error_that_ends_a_thread_is_logged_without_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise ValueError("Doe^Jane")

    thread = threading.Thread(target=broken)
    thread.start()
    thread.join()
    said = line(capsys)
    assert (said["event"], said["error"], said["path"]) == ("thread.failed", "ValueError", "test_logs.py")
    assert "Doe" not in str(said)
