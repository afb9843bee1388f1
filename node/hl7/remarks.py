"""What the listener puts on the timeline: in a thread of its own, lines of one kind and peer together."""

from __future__ import annotations

import threading
from collections import Counter

from node import logs
from node.records import timeline
from node.records.engine import Records

TOGETHER_SECONDS = 1.0
"""How long a remark waits for others like it."""
MOST_LINES = 50
"""Lines of one second; what exceeds them is counted under "others"."""
LINE_SECONDS = 5.0
"""How long a line waits for other writers of the records."""
FAULT_SECONDS = 5.0
"""Pause after the records did not take lines; then they are tried again, with what came meanwhile."""
OTHERS = "other addresses"

TEXTS = {
    "message.garbage": "Bytes from {peer} that were outside of MLLP frames and were ignored: {count}",
    "message.too_long": "Messages from {peer} that were refused, longer than hl7.max_message_bytes: {count}",
    "message.no_room": "Messages from {peer} that were refused (207), as there was no memory for them: {count}",
    "message.not_kept": "Messages from {peer} that were refused (207), as they could not be kept: {count}",
    "message.slow": "Connections of {peer} that were closed, a message not whole within hl7.read_seconds: {count}",
    "message.deaf": "Connections of {peer} that were closed, their answers not read within hl7.read_seconds: {count}",
    "message.crowded": "Connections of {peer} that were closed, as there were as many as hl7 allows: {count}",
    "message.stranger": "Connections of {peer} that were closed, an address not in hl7.peers: {count}",
    "message.handshake": "TLS handshakes with {peer} that failed: {count}",
    "message.unasked": "Acknowledgements from {peer} that no message of the node waits for: {count}",
}
"""Kinds of lines, each a sentence with a count and an address."""


class Remarks:
    """Writes lines, and logs them; the records may be busy or away meanwhile."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._counts: Counter[tuple[str, str]] = Counter()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._log = logs.get("hl7")

    def add(self, kind: str, peer: str, count: int = 1) -> None:
        """Have a line written about a peer; ``kind`` is one of :data:`TEXTS`."""
        with self._changed:
            key = (kind, peer)
            if key not in self._counts and len(self._counts) >= MOST_LINES:
                key = (kind, OTHERS)
            self._counts[key] += count
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="remarks", daemon=True)
                self._thread.start()
            self._changed.notify()

    def stop(self) -> None:
        """Write what is left, and end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(2 * LINE_SECONDS)

    def _work(self) -> None:
        records = Records(self._url, busy_seconds=LINE_SECONDS)
        unwritten: Counter[tuple[str, str]] = Counter()
        going = True
        while going:
            going = self._gather(unwritten)
            if unwritten and self._write(records, unwritten):
                unwritten.clear()
        records.close()

    def _gather(self, unwritten: Counter[tuple[str, str]]) -> bool:
        """Wait for remarks, and for those that come within a moment; returns whether there will be more."""
        with self._changed:
            self._changed.wait_for(lambda: self._counts or unwritten or self._stopping)
            self._changed.wait_for(lambda: self._stopping, FAULT_SECONDS if unwritten else TOGETHER_SECONDS)
            fresh, self._counts = self._counts, Counter()
        for (kind, peer), count in fresh.items():
            self._log.warning(kind, peer=peer, count=count)
            full = len(unwritten) >= MOST_LINES and (kind, peer) not in unwritten
            unwritten[kind, OTHERS if full else peer] += count
        return not self._stopping

    def _write(self, records: Records, lines: Counter[tuple[str, str]]) -> bool:
        """Write lines; returns whether the records took them."""
        try:
            with records.write() as session:
                for (kind, peer), count in lines.items():
                    timeline.add(session, kind, TEXTS[kind].format(count=count, peer=peer), level="warning")
        except Exception as exc:
            self._log.error("timeline.not_written", count=len(lines), error=exc)
            return False
        return True
