"""Asking the senders of studies how many instances these have, while the gateway goes on judging others.

One thread asks one peer at a time. A study waits for the answer a few seconds at most; a peer that does not answer is
left alone for a while, and its studies are judged by what else is known.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from node import logs
from node.dicom.query import count_instances
from node.dicom.scp.tls import client_context
from node.errors import OverreadError
from node.records.evidence import Arriving
from node.settings import Peer, Settings

HOLD_SECONDS = 12.0
"""How long a study waits for an answer, which may stand behind those of other studies."""
AWAY_SECONDS = 60.0
"""How long a peer that did not answer is not asked again."""
AGAIN_SECONDS = 5.0
"""Pause before a peer that has more than it sent is asked again; it doubles each time."""
AGAIN_MAX_SECONDS = 600.0
WAITING = 256
"""Questions that may wait; further studies are judged without."""

Ask = Callable[[str, Peer], int | None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question: a number, or why there is none."""

    study: Arriving
    ae_title: str
    count: int | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Asked:
    """The last question about a study: about which instances, when, and when the next one may be."""

    study: Arriving
    at: float
    pending: bool = True
    tries: int = 1

    @property
    def again_at(self) -> float:
        return self.at + min(AGAIN_SECONDS * 2.0 ** (self.tries - 1), AGAIN_MAX_SECONDS)


class Inquiry:
    """Questions to the peers that are configured with ``query``; called from one thread, asks in another."""

    def __init__(self, settings: Settings, ask: Ask | None = None) -> None:
        self._peers = {peer.ae_title: peer for peer in settings.dicom.peers if peer.query}
        self._calling, self._tls = settings.dicom.ae_title, settings.dicom.tls
        self._ask = ask or self._count
        self._asked: dict[int, _Asked] = {}
        self._away: dict[str, float] = {}
        self._questions: queue.Queue[tuple[Arriving, Peer]] = queue.Queue(WAITING)
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._log = logs.get("gateway")

    def settled(self, study: Arriving) -> bool:
        """Whether nothing more is to be heard about the instances that are here; otherwise the source is asked."""
        peer = self._peers.get(study.calling_ae_title)
        if peer is None:
            return True
        asked = self._asked.get(study.id)
        if asked is None or asked.study.last_instance_at != study.last_instance_at:
            return not self._question(study, peer, 1)
        if asked.pending and time.monotonic() > asked.at + HOLD_SECONDS:
            self._close(Answer(study, peer.ae_title, None, "no answer in time"))
        return not self._asked[study.id].pending

    def again(self, study: Arriving) -> None:
        """Ask once more about a study of which the source has more than came, now and then."""
        peer = self._peers.get(study.calling_ae_title)
        asked = self._asked.get(study.id)
        if peer is None or (asked is not None and (asked.pending or time.monotonic() < asked.again_at)):
            return
        self._question(study, peer, 1 if asked is None else asked.tries + 1)

    def answers(self) -> list[Answer]:
        """Return what was answered since the last call."""
        found = []
        while not self._answers.empty():
            found.append(self._answers.get())
        for answer in found:
            asked = self._asked.get(answer.study.id)
            if asked is not None and asked.study == answer.study:
                self._asked[answer.study.id] = replace(asked, pending=False, at=time.monotonic())
        return found

    def forget(self, awaited: set[int]) -> None:
        """Drop what is known of studies that are not awaited any more."""
        self._asked = {key: asked for key, asked in self._asked.items() if key in awaited}

    def _question(self, study: Arriving, peer: Peer, tries: int) -> bool:
        """Queue a question; False if it cannot be asked now, which is an answer too."""
        self._asked[study.id] = _Asked(study, time.monotonic(), tries=tries)
        if time.monotonic() < self._away.get(peer.ae_title, 0.0):
            self._close(Answer(study, peer.ae_title, None, "it did not answer a moment ago"))
            return False
        try:
            self._questions.put_nowait((study, peer))
        except queue.Full:
            self._close(Answer(study, peer.ae_title, None, "too many studies wait to be asked for"))
            return False
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="inquiry", daemon=True)
            self._thread.start()
        return True

    def _close(self, answer: Answer) -> None:
        self._asked[answer.study.id] = replace(self._asked[answer.study.id], pending=False)
        self._answers.put(answer)

    def _run(self) -> None:
        while True:
            study, peer = self._questions.get()
            if time.monotonic() >= self._away.get(peer.ae_title, 0.0):
                self._answers.put(self._answer(study, peer))
            else:
                self._answers.put(Answer(study, peer.ae_title, None, "it did not answer a moment ago"))

    def _answer(self, study: Arriving, peer: Peer) -> Answer:
        try:
            count = self._ask(study.uid, peer)
        except OverreadError as exc:
            problem = str(exc)
        except Exception as exc:  # a peer that breaks a library must not end the thread
            problem = f"internal error ({type(exc).__name__})"
        else:
            unknown = "it does not know the study" if count == 0 else "it gives no number" if count is None else ""
            return Answer(study, peer.ae_title, count or None, unknown)
        self._away[peer.ae_title] = time.monotonic() + AWAY_SECONDS
        self._log.warning("peer.query_failed", peer=peer.ae_title, reason=problem)
        return Answer(study, peer.ae_title, None, problem)

    def _count(self, study_uid: str, peer: Peer) -> int | None:
        tls = client_context(self._tls) if peer.tls else None
        return count_instances(study_uid, peer.host, peer.port, peer.ae_title, self._calling, tls=tls)
