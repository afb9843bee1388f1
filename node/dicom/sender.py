"""The storage SCU (PS3.4 annex B) and C-ECHO: objects go out as the bytes that their files hold.

An object is decoded only where the other side accepts nothing that is like its file.
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pynetdicom import build_context
from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS, code_to_category

from node.dicom.files import Outgoing, describe
from node.dicom.requestor import associated
from node.dicom.scp import dimse
from node.dicom.scp.dimse import CommandSet
from node.dicom.scu import Message, Remote, StoreAssociation
from node.dicom.transcode import PLAIN, decodable, name, transcode
from node.errors import DeliveryError, DicomInputError, OverreadError

VERIFICATION = "1.2.840.10008.1.1"
MAX_CONTEXTS = 128
"""Presentation context IDs are the odd numbers from 1 to 255 (PS3.8 section 9.3.2.2)."""
LOOK_AHEAD = 50
"""Objects whose presentation contexts are proposed together."""
PERMANENT = frozenset({0x0112, 0x0117, 0x0122, 0x0124, 0x0210, 0x0212})
"""Statuses that the same object will get again (PS3.7 annex C): no such SOP instance or class, not authorised..."""

Proposal = tuple[str, tuple[str, ...]]
"""A SOP class and transfer syntaxes."""


@dataclass(frozen=True, slots=True)
class SendOutcome:
    """What became of one object.

    ``status`` is the DIMSE status, None where none came. ``ok`` is True for 0000 and for warnings (Bxxx, PS3.4 table
    B.2-1: stored, with something coerced or left out). ``reason`` says why an object was not taken, what a warning
    means, and whether it went in another transfer syntax; ``said`` is the other side's Error Comment, which may hold
    anything.
    """

    path: Path
    sop_uid: str
    status: int | None
    reason: str
    ok: bool
    otherwise: str = "no answer"
    said: str = ""

    @property
    def comment(self) -> str:
        """Reason and Error Comment, for people."""
        return "; ".join(part for part in (self.reason, self.said) if part)

    @property
    def word(self) -> str:
        """The status as people write it, or what there is in its place."""
        return self.otherwise if self.status is None else f"0x{self.status:04X}"

    def raise_for_status(self) -> None:
        """Raise :class:`~node.errors.DeliveryError` unless the object was taken."""
        if not self.ok:
            mismatch = self.status is not None and self.status >> 8 == 0xA9
            permanent = mismatch or self.status in PERMANENT or self.otherwise == "not accepted"
            raise DeliveryError(self.comment, status=self.word, retryable=not permanent)


Progress = Callable[[SendOutcome], None]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """An object that can go out, and on which association."""

    item: Outgoing
    association: StoreAssociation
    message: Message
    remark: str = ""


def send(
    items: Sequence[Path | Outgoing],
    host: str,
    port: int,
    called_ae: str,
    calling_ae: str,
    timeout: float = 60.0,
    progress: Progress | None = None,
) -> Iterator[SendOutcome]:
    """Send files, in their order, and yield one outcome for each that was tried.

    One association carries them all, more only if later ones need other presentation contexts. A file that cannot be
    read has an outcome too.

    Raises
    ------
    DeliveryError
        If no association comes about, or one is lost while objects are left; these were not tried.
    """
    with closing(Sender(Remote(host, port, called_ae, calling_ae, timeout))) as sender:
        for outcome in sender.send(items):
            if progress is not None:
                progress(outcome)
            yield outcome


def echo(
    host: str, port: int, called_ae: str, calling_ae: str, timeout: float = 10.0, tls: ssl.SSLContext | None = None
) -> None:
    """Ask the other side whether it is there (C-ECHO).

    Raises
    ------
    DeliveryError
        If it is not, or does not want to talk.
    """
    with associated([build_context(VERIFICATION)], host, port, called_ae, calling_ae, timeout, tls) as assoc:
        answer = assoc.send_c_echo()
        status = getattr(answer, "Status", None)
        if status != 0x0000:
            word = "no answer" if status is None else f"0x{status:04X}"
            raise DeliveryError(f"C-ECHO failed: {word}", status=word)


def proposals(item: Outgoing) -> list[Proposal]:
    """Return the presentation contexts an object asks for: its own syntax, and those it can be turned into if any."""
    own = (item.sop_class, (item.transfer_syntax,))
    return [own, (item.sop_class, PLAIN)] if decodable(item.transfer_syntax) else [own]


class Sender:
    """Sends to one application entity, over an association that stays open between calls of :meth:`send`.

    An object goes out while the outcome of the one before it is dealt with, and the next is read while its answer is
    awaited, so that the other side never waits for the node.
    """

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._association: StoreAssociation | None = None
        self._proposed: dict[Proposal, None] = {}
        self._proven = False
        self._broken: DeliveryError | None = None
        self._used = 0.0
        self._busy = False

    def send(self, items: Sequence[Path | Outgoing]) -> Generator[SendOutcome, None, None]:
        """Send objects; as :func:`send`."""
        self._proven, self._busy = False, True
        if self._association is not None and not self._association.quiet():
            self._drop()
        flying: _Prepared | None = None
        try:
            for number, (item, following) in enumerate(_ahead(items)):
                ready = self._prepare(item)
                done, flying = self._landed(flying), None
                if done is not None and self._association is None:
                    yield done
                    raise DeliveryError(f"the association was lost; {len(items) - number} objects were not tried")
                if isinstance(item, Outgoing) and (ready is None or self._outdated(ready)):
                    yield from () if done is None else (done,)
                    done, ready = None, self._associated(item, following)
                if isinstance(ready, _Prepared):
                    self._transmit(ready)
                    flying = ready
                yield from (said for said in (done, ready) if isinstance(said, SendOutcome))
            done, flying = self._landed(flying), None
            yield from () if done is None else (done,)
        finally:
            self._busy = False
            if flying is not None:  # nobody waits for its answer any more
                self._drop()

    def rest(self, seconds: float) -> None:
        """Release the association if it was not used for that long."""
        if self._association is not None and time.monotonic() - self._used >= seconds:
            self.close()

    def close(self) -> None:
        """Release the association."""
        if self._association is not None:
            self._association.release()
        self._association = None

    def interrupt(self) -> None:
        """End what is being sent (called by another thread)."""
        if self._busy and (association := self._association) is not None:
            association.interrupt()

    def _drop(self) -> None:
        if self._association is not None:
            self._association.abort()
        self._association = None

    def _prepare(self, item: Outgoing | SendOutcome) -> _Prepared | SendOutcome | None:
        """Return what is to go out, or why it cannot; None where that takes an association with other contexts."""
        if isinstance(item, SendOutcome):
            return item
        association = self._association
        if association is None or not self._proposed.keys() >= set(proposals(item)):
            return None
        found = _context(association.accepted, item)
        if found is None:
            return _refused(
                item, "the other side accepts neither this SOP class nor a transfer syntax it can be put in"
            )
        context, syntax = found
        same = syntax == item.transfer_syntax
        try:
            data = item.dataset() if same else transcode(item, syntax)
        except DicomInputError as exc:
            return _refused(item, f"the other side does not take {name(item.transfer_syntax)}, and {exc}")
        except OSError as exc:
            return SendOutcome(item.path, item.sop_instance, None, _unreadable(exc), ok=False, otherwise="not read")
        message = association.message(context, item.sop_class, item.sop_instance, data)
        remark = "" if same else f"sent in {name(syntax)} instead of {name(item.transfer_syntax)}"
        return _Prepared(item, association, message, remark)

    def _outdated(self, ready: _Prepared | SendOutcome | None) -> bool:
        return isinstance(ready, _Prepared) and ready.association is not self._association

    def _associated(
        self, item: Outgoing, following: Sequence[Outgoing | SendOutcome]
    ) -> _Prepared | SendOutcome | None:
        """Ask for an association for an object and those behind it, unless there is one, and prepare the object."""
        if self._prepare(item) is None:
            self.close()
            wanted = dict.fromkeys(proposals(item))
            others = [one for more in following if isinstance(more, Outgoing) for one in proposals(more)]
            for proposal in (*others, *self._proposed):
                if len(wanted) < MAX_CONTEXTS:
                    wanted[proposal] = None
            self._open(wanted)
        return self._prepare(item)

    def _open(self, wanted: dict[Proposal, None]) -> None:
        self._association = association = StoreAssociation(self._remote)
        try:
            association.open(list(wanted))
        except DeliveryError:
            self._association = None
            raise
        self._proposed, self._proven = wanted, True

    def _transmit(self, ready: _Prepared) -> None:
        self._broken = None
        try:
            ready.association.send(ready.message)
        except DeliveryError as exc:
            self._broken = exc

    def _landed(self, flying: _Prepared | None) -> SendOutcome | None:
        """Wait for the answer to what is under way."""
        if flying is None:
            return None
        try:
            if self._broken is not None:
                raise self._broken
            answer = flying.association.receive()
        except DeliveryError as exc:
            self._association = None
            return self._lost(flying, exc)
        self._proven, self._used = True, time.monotonic()
        return _outcome(flying, answer)

    def _lost(self, flying: _Prepared, reason: DeliveryError) -> SendOutcome | None:
        """Say that an object got no answer; on a kept association that was over meanwhile it is sent once more."""
        if self._proven:
            return SendOutcome(flying.item.path, flying.item.sop_instance, None, str(reason), ok=False)
        self._open(self._proposed)
        again = self._prepare(flying.item)
        if not isinstance(again, _Prepared):
            return again
        self._transmit(again)
        return self._landed(again)


def _ahead(
    items: Sequence[Path | Outgoing],
) -> Iterator[tuple[Outgoing | SendOutcome, Sequence[Outgoing | SendOutcome]]]:
    """Yield each object, described, and those that follow it."""
    source = iter(items)
    described: deque[Outgoing | SendOutcome] = deque()
    for _ in items:
        while len(described) < LOOK_AHEAD and (item := next(source, None)) is not None:
            described.append(item if isinstance(item, Outgoing) else _described(item))
        yield described.popleft(), described


def _described(path: Path) -> Outgoing | SendOutcome:
    try:
        return describe(path)
    except OverreadError as exc:
        return SendOutcome(path, "", None, str(exc), ok=False, otherwise="not read")
    except OSError as exc:
        return SendOutcome(path, "", None, _unreadable(exc), ok=False, otherwise="not read")


def _unreadable(exc: OSError) -> str:
    return f"cannot be read: {type(exc).__name__}"


def _refused(item: Outgoing, comment: str) -> SendOutcome:
    return SendOutcome(item.path, item.sop_instance, None, comment, ok=False, otherwise="not accepted")


def _context(accepted: Mapping[int, tuple[str, str]], item: Outgoing) -> tuple[int, str] | None:
    """Return the presentation context for an object and its transfer syntax: the object's own if it is accepted."""
    mine = [(number, syntax) for number, (sop_class, syntax) in accepted.items() if sop_class == item.sop_class]
    own = [pair for pair in mine if pair[1] == item.transfer_syntax]
    others = [pair for pair in mine if pair[1] in PLAIN] if decodable(item.transfer_syntax) else []
    return next(iter(own + others), None)


def _outcome(sent: _Prepared, answer: CommandSet) -> SendOutcome:
    status = answer.number(dimse.STATUS) or 0
    category = code_to_category(status)
    meaning = STORAGE_SERVICE_CLASS_STATUS.get(status, (category, ""))[1]
    said = "".join(char for char in answer.text(dimse.COMMENT)[: dimse.COMMENT_WIDTH] if char.isprintable())
    parts = () if status == 0 else (f"{category} 0x{status:04X}", meaning)
    reason = "; ".join(part for part in (*parts, sent.remark) if part)
    ok = category in ("Success", "Warning")
    return SendOutcome(sent.item.path, sent.item.sop_instance, status, reason, ok, said=said if status else "")
