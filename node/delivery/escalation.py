"""Alerts that nobody acknowledged in time: said on the study's timeline, in the log and on the metrics page.

An alert that is late is sent again as before; what changes is that people are told to tell each other by other means.
"""

from __future__ import annotations

import datetime as dt
import time

from sqlalchemy import select
from sqlalchemy.orm import Session

from node import logs
from node.records import results, timeline
from node.records.engine import Records
from node.records.results import UnacknowledgedAlert
from node.records.schema import Event, now
from node.settings import Settings

KIND = "alert.unacknowledged"
LOOK_SECONDS = 2.0
"""Pause between two looks at all deliveries: an alert has minutes, and the records have other work."""
GONE_SECONDS = 300.0
"""Time until an alert is escalated whose destination is not configured any more."""


class Escalation:
    """Looks for late alerts. :meth:`work` is short; the gateway calls it again and again.

    Parameters
    ----------
    every
        Seconds between two looks at the records; calls in between do nothing.
    """

    def __init__(self, settings: Settings, records: Records, every: float = LOOK_SECONDS) -> None:
        self._settings = settings
        self._records = records
        self._every = every
        self._next = 0.0
        self._log = logs.get("gateway")

    def work(self) -> int:
        """Escalate what became late; returns how many alerts that were, each once."""
        if time.monotonic() < self._next:
            return 0
        self._next = time.monotonic() + self._every
        with self._records.read() as session:
            late = [item for item in results.unacknowledged_alerts(session) if self._is_late(item)]
            new = [item for item in late if not _said(session, item, self._text(item))]
        if not new:
            return 0
        with self._records.write() as session:
            for item in new:
                timeline.add(session, KIND, self._text(item), study=item.study, level="error")
        for item in new:
            self._log.error(KIND, study=item.study, destination=item.destination, key=item.control_id)
        return len(new)

    def _is_late(self, item: UnacknowledgedAlert) -> bool:
        return now() - item.since > dt.timedelta(seconds=self._seconds(item))

    def _seconds(self, item: UnacknowledgedAlert) -> float:
        destination = self._settings.destination(item.destination)
        return GONE_SECONDS if destination is None else destination.alert_seconds

    def _text(self, item: UnacknowledgedAlert) -> str:
        return (
            f"The alert {item.control_id} was not acknowledged by {item.destination} within "
            f"{self._seconds(item):g} s: tell somebody by other means."
        )


def _said(session: Session, item: UnacknowledgedAlert, text: str) -> bool:
    query = select(Event.id).where(Event.study_fk == item.study, Event.kind == KIND, Event.text == text).limit(1)
    return session.scalar(query) is not None
