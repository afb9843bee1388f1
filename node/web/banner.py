"""Alerts on critical findings that nobody acknowledged: what every page says on top."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from node import logs
from node.records import attention, persons
from node.records.attention import Unacknowledged
from node.records.engine import Records
from node.records.persons import Person
from node.records.schema import now
from node.records.states import DeliveryState
from node.settings import Settings


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alert that waits; ``late`` if its destination had the time that it is given, or does not take it.

    ``person`` is as whom the study's patient is known now.
    """

    alert: Unacknowledged
    person: Person
    late: bool


class Banner:
    """Reads the alerts that wait."""

    def __init__(self, settings: Settings, records: Records) -> None:
        self._settings = settings
        self._records = records

    def alarms(self) -> Sequence[Alarm] | None:
        """Return the alerts that their destinations have not accepted, oldest first; None if nobody can tell now."""
        try:
            with self._records.read() as session:
                alerts = attention.unacknowledged(session)
                if not alerts:
                    return []
                studies = {alert.study.id: alert.study for alert in alerts}
                people = persons.of_studies(session, studies.values(), attention.doubts(session, studies))
                return [Alarm(alert, people[alert.study.id], self._late(alert)) for alert in alerts]
        except SQLAlchemyError as exc:
            logs.get("web").warning("web.banner", error=exc)
            return None

    def _late(self, alert: Unacknowledged) -> bool:
        destination = self._settings.destination(alert.destination)
        if destination is None or alert.state is DeliveryState.FAILED:
            return True
        return now() - alert.since > dt.timedelta(seconds=destination.alert_seconds)
