"""Structured logs that cannot print patient data.

A log call names an event and gives fields. Only fields of :data:`ALLOWED` reach the output; anything else is replaced
by ``"<withheld>"``, so that a careless call shows up as a gap and not as a leak.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog

ALLOWED: frozenset[str] = frozenset(
    {
        # structlog's own
        "event", "level", "timestamp", "logger", "exception",
        # identifiers of ours, never of the patient
        "study", "series", "instance", "job", "result", "delivery", "message", "note", "order", "model", "version",
        "association", "destination", "rule", "process", "pid", "worker", "task",
        # facts
        "ae_title", "peer", "host", "port", "state", "status", "reason", "count", "bytes", "seconds", "attempt", "kind",
        "error", "path", "queue", "url", "returncode", "next_at", "sop_class", "transfer_syntax", "generation",
        "ack", "message_type", "key", "signal", "root", "action", "device", "line",
    }
)  # fmt: skip
WITHHELD = "<withheld>"


def _withhold(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: value if key in ALLOWED else WITHHELD for key, value in event.items()}


def _error_name(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Foreign exception texts may quote the input, so only ours (which may not) are printed in full."""
    from node.errors import OverreadError

    error = event.get("error")
    if isinstance(error, OverreadError):
        event["error"] = f"{type(error).__name__}: {error}"
    elif isinstance(error, BaseException):
        event["error"] = type(error).__name__
    return event


def configure(*, level: str = "INFO", json: bool = True) -> None:
    """Set up logging of this process: ours through structlog, the libraries' warnings through the same stream."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _error_name,
            _withhold,
            structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        # One write a line, newline included: receivers of one port share the file.
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    threading.excepthook = _thread_failed
    # The libraries log attribute values, and their Python warnings quote them: neither reaches a stream.
    logging.captureWarnings(capture=True)
    for noisy in ("pynetdicom", "pydicom", "hl7apy", "highdicom", "py.warnings"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


def _thread_failed(args: threading.ExceptHookArgs) -> None:
    """Log an error that ended a thread: its class and place, where Python would print its text."""
    frames = traceback.extract_tb(args.exc_traceback)
    where = {"path": Path(frames[-1].filename).name, "line": frames[-1].lineno} if frames else {}
    get("thread").error("thread.failed", error=args.exc_value, **where)


def get(process: str) -> Any:
    """Return the logger of one process or room."""
    return structlog.get_logger(process=process)  # lazy: what `configure` sets up holds for it
