"""The part of the gateway that takes messages over, alone: `python -m tests.campaigns.hl7_processor CONFIG`."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from node import logs
from node.gateway import TICKS
from node.hl7.processing import Processor
from node.records.engine import Records
from node.service import configured

FAULT_SECONDS = 0.5


def main() -> int:
    """Take over what the listener keeps, until SIGTERM."""
    settings = configured(Path(sys.argv[1]))
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    records = Records(settings.database_url)
    processor = Processor(records, settings)
    log = logs.get("gateway")
    log.info("started")
    while not stopping.is_set():
        try:
            pause = 0.0 if processor.work() else TICKS["hl7"]
        except Exception as exc:  # as in the gateway: logged, and tried again; the campaign reads the log
            log.error("loop.failed", task="hl7", error=exc)
            pause = FAULT_SECONDS
        stopping.wait(pause)
    processor.close()
    records.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
