"""One destination's loop: what is due is sent, what was said is recorded. Loops know nothing of each other."""

from __future__ import annotations

import random
from collections.abc import Sequence

from node import logs
from node.delivery import TRANSPORTS
from node.delivery.backoff import next_try
from node.delivery.transport import Item, Outcome
from node.errors import OverreadError
from node.records import results
from node.records.engine import Records
from node.records.schema import Delivery, now
from node.records.states import DeliveryState
from node.settings import Destination, Settings

BATCH = 50
"""Objects sent on one association before the records are asked again."""


class Outbox:
    """Sends what one destination is owed. :meth:`work` blocks; the gateway calls it from a thread."""

    def __init__(self, destination: Destination, settings: Settings, records: Records) -> None:
        self.destination = destination
        self._settings = settings
        self._records = records
        self._unrecorded = False
        self._log = logs.get("gateway").bind(destination=destination.name)

    def work(self) -> int:
        """Send what is due; returns how many deliveries were tried."""
        if self._unrecorded:  # the records failed in the last round: what they call being sent is not
            with self._records.write() as session:
                results.recover(session, self.destination.name)
            self._unrecorded = False
        with self._records.read() as session:
            rows = results.due(session, self.destination.name, BATCH)
            items = {row.id: self._item(row) for row in rows}
        if not items:
            return 0
        self._unrecorded = True
        with self._records.write() as session:
            started = results.start(session, list(items))
        self._send([items[key] for key in started])
        self._unrecorded = False
        return len(started)

    def _item(self, row: Delivery) -> Item:
        result = row.result
        return Item(row.id, result.kind, result.uid, result.job.study.uid, self._settings.node.root / result.path)

    def _send(self, items: Sequence[Item]) -> None:
        left = {item.delivery for item in items}
        reason = "not tried: the transport stopped before it"
        try:
            for outcome in TRANSPORTS[self.destination.kind](self.destination, items, self._settings):
                self._record(outcome)
                left.discard(outcome.delivery)
        except OverreadError as exc:
            reason = str(exc)
        except Exception as exc:
            self._log.error("delivery.crashed", error=exc)
            reason = f"internal error ({type(exc).__name__})"
        self._put_back(left, tried=reason if len(left) == len(items) else None)

    def _put_back(self, left: set[int], *, tried: str | None) -> None:
        """Deliveries without an outcome: queued again, or, where nothing went through at all, recorded as a failure."""
        for key in sorted(left):
            if tried is not None:
                self._record(Outcome(key, False, "no answer", tried))
                continue
            with self._records.write() as session:
                results.step(session.get_one(Delivery, key), DeliveryState.QUEUED)

    def _record(self, outcome: Outcome) -> None:
        with self._records.write() as session:
            if outcome.ok:
                results.delivered(session, outcome.delivery, outcome.status)
                self._log.info("delivery.delivered", delivery=outcome.delivery, status=outcome.status)
                return
            row = session.get_one(Delivery, outcome.delivery)
            again = next_try(row.attempts, row.created_at, now(), self._settings.delivery, random.random())  # noqa: S311
            results.refused(session, outcome.delivery, outcome.status, outcome.reason, again)
        self._log.warning("delivery.refused", delivery=outcome.delivery, status=outcome.status, attempt=row.attempts)
