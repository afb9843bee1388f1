"""One destination's loop: what is due is sent, what was said is recorded. Loops know nothing of each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

from node import delivery, logs
from node.delivery.retrying import retries
from node.delivery.transport import Item, KeptTransport, Outcome
from node.errors import OverreadError
from node.records import results
from node.records.engine import Records
from node.records.results import Answer
from node.settings import Destination, Settings

BATCH = 500
"""Objects sent before the records are asked again: what is queued meanwhile waits behind them."""
RECORDED_TOGETHER = 100
"""Outcomes that are written in one transaction, if they come faster than they can be written one by one."""
RECORD_SECONDS = 0.25
"""How long an outcome waits for others. What a crash takes away is sent again, and the receiver knows it already."""
MOST_UNRECORDED = 500
"""Outcomes that wait while the records are busy; with more of them nothing is sent until they are written."""
ALERT_LOOK_SECONDS = 1.0
"""How often a destination that is busy with other messages is asked whether an alert waits: it then goes next."""
ORDERED = frozenset({"mllp"})
"""Kinds of destinations where nothing overtakes its elders."""


class Outbox:
    """Sends what one destination is owed. :meth:`work` blocks; the gateway calls it from a thread."""

    def __init__(self, destination: Destination, settings: Settings, records: Records) -> None:
        self.destination = destination
        self._settings = settings
        self._records = records
        self._transport = delivery.transport(destination.kind)
        self._unrecorded = False
        self._log = logs.get("gateway").bind(destination=destination.name)

    def work(self) -> int:
        """Send what is due; returns how many deliveries were tried."""
        if self._unrecorded:  # the records failed in the last round: what they call being sent is not
            with self._records.write() as session:
                results.recover(session, self.destination.name)
            self._unrecorded = False
        with self._records.read() as session:
            name, ordered = self.destination.name, self.destination.kind in ORDERED
            rows = results.due(session, name, BATCH, ordered=ordered)
        if not rows:
            self._rest()
            return 0
        root = self._settings.node.root
        items = {row.id: Item(row.id, row.kind, row.uid, row.study_uid, root / row.path) for row in rows}
        self._unrecorded = True
        with self._records.write() as session:
            started = set(results.start(session, list(items)))
        self._send([item for key, item in items.items() if key in started])  # in the order in which they are due
        self._unrecorded = False
        return len(started)

    def close(self) -> None:
        """Close what is kept open between rounds."""
        if isinstance(self._transport, KeptTransport):
            self._transport.close()

    def interrupt(self) -> None:
        """Have a round that is under way end soon (called by another thread)."""
        if isinstance(self._transport, KeptTransport):
            self._transport.interrupt()

    def _rest(self) -> None:
        if isinstance(self._transport, KeptTransport):
            self._transport.rest()

    def _send(self, items: Sequence[Item]) -> None:
        """Send, and record outcomes a handful at a time; what was not tried has its turn in the next round."""
        left = {item.delivery for item in items}
        looked = time.monotonic()
        with closing(self._outcomes(items)) as outcomes, closing(_Recorder(self._record)) as recorder:
            for outcome in outcomes:
                recorder.put(outcome)
                left.discard(outcome.delivery)
                if left and time.monotonic() - looked >= ALERT_LOOK_SECONDS:
                    if self._alert_waits():
                        break
                    looked = time.monotonic()
            recorder.finish()
        if left:
            with self._records.write() as session:
                results.put_back(session, sorted(left))

    def _alert_waits(self) -> bool:
        """Whether what is being sent has to make room: an alert came, and these are other messages."""
        if results.ALERT not in self.destination.accepts:
            return False
        with self._records.read() as session:
            return results.alert_waits(session, self.destination.name)

    def _outcomes(self, items: Sequence[Item]) -> Generator[Outcome, None, None]:
        """Yield what the transport says; where nothing went through at all, its error is the outcome of everything."""
        outcomes = self._transport(self.destination, items, self._settings)
        tried, status = 0, "no answer"
        reason = "not tried: the transport stopped before it"
        try:
            for outcome in outcomes:
                tried += 1
                yield outcome
        except OverreadError as exc:
            reason, status = str(exc), getattr(exc, "status", "") or status
        except Exception as exc:
            self._log.error("delivery.crashed", error=exc)
            reason = f"internal error ({type(exc).__name__})"
        finally:
            if isinstance(outcomes, Generator):  # or its connection would be in use still in the next round
                outcomes.close()
        if not tried:
            yield from (Outcome(item.delivery, False, status, reason) for item in items)

    def _record(self, said: Sequence[Outcome]) -> None:
        if not said:
            return
        answers = {
            ok: [Answer(s.delivery, s.status, s.reason, s.comment) for s in said if s.ok is ok] for ok in (True, False)
        }
        commit = self.destination.commitment and self.destination.kind == "dicom"
        with self._records.write() as session:
            results.accepted(session, answers[True], commit=commit)
            results.refused(session, answers[False], retries(self._settings.delivery))
        if answers[True]:
            self._log.info("delivery.accepted", count=len(answers[True]), status=answers[True][-1].status)
        for status in sorted({answer.status for answer in answers[False]}):
            count = sum(answer.status == status for answer in answers[False])
            self._log.warning("delivery.refused", count=count, status=status)


class _Recorder:
    """Writes outcomes in a thread of its own, so that the other side does not wait while a disk does."""

    def __init__(self, record: Callable[[Sequence[Outcome]], None]) -> None:
        self._record = record
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._writing: Future[None] | None = None
        self._said: list[Outcome] = []
        self._since = time.monotonic()

    def put(self, outcome: Outcome) -> None:
        """Take an outcome; raises what went wrong when earlier ones were written."""
        self._said.append(outcome)
        busy = self._writing is not None and not self._writing.done()
        if len(self._said) >= (MOST_UNRECORDED if busy else RECORDED_TOGETHER) or (
            not busy and time.monotonic() - self._since > RECORD_SECONDS
        ):
            self._write()

    def finish(self) -> None:
        """Write what is left, and wait until all is written."""
        self._write()
        self._wait()

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

    def _write(self) -> None:
        self._wait()
        self._writing = self._thread.submit(self._record, self._said)
        self._said, self._since = [], time.monotonic()

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()
