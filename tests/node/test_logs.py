from __future__ import annotations

import json
from typing import Any

import pytest

from node import logs
from node.errors import ConfigError


@pytest.fixture(autouse=True)
def configured(capsys: pytest.CaptureFixture[str]) -> None:
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
