"""The indexer process: what the receivers took in, entered in the records."""

from __future__ import annotations

import os
import warnings

from node import logs
from node.dicom.indexer import Indexer
from node.dicom.receiver import spool_of, stop_signal
from node.dicom.reconcile import reconcile
from node.records.engine import Records
from node.settings import Settings
from node.storage import Spool

NICENESS = 15
"""The index can wait while objects come in; a busy machine is the receivers' first."""


def run_indexer(settings: Settings) -> None:
    """Enter what the receivers tell in the records until SIGTERM or SIGINT."""
    warnings.filterwarnings("ignore", category=UserWarning)  # pydicom's quote attribute values
    os.nice(NICENESS)
    stop = stop_signal()
    records = Records(settings.database_url)
    records.migrate()
    spool = spool_of(settings)
    indexer = Indexer(records, spool.root)
    start_index(spool, records, indexer)
    stop.wait()
    indexer.stop(settings.node.stop_seconds / 2)
    spool.close()
    records.close()
    logs.get("indexer").info("stopped")


def start_index(spool: Spool, records: Records, indexer: Indexer) -> None:
    """Enter what waits in the ledger, compare the spool with the records, and go on."""
    spool.open()
    indexer.catch_up()
    reconcile(spool, records)
    indexer.start()
    logs.get("indexer").info("started")
