"""The storage SCU (PS3.4 annex B) and C-ECHO: objects go out as the bytes that their files hold.

An object is decoded only where the other side wants another uncompressed transfer syntax than the file's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.uid import UID
from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.presentation import PresentationContext
from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS, code_to_category

from node.dicom.files import EXPLICIT_LITTLE, IMPLICIT_LITTLE, Outgoing, describe
from node.dicom.requestor import associated, wait_until_over
from node.errors import DeliveryError, OverreadError

VERIFICATION = "1.2.840.10008.1.1"
CONVERTIBLE = frozenset({EXPLICIT_LITTLE, IMPLICIT_LITTLE})
"""Syntaxes that can be turned into one another. Not big endian: its pixels would have to be swapped by their VR."""
MAX_CONTEXTS = 128
"""Presentation context IDs are the odd numbers from 1 to 255 (PS3.8 section 9.3.2.2)."""
PERMANENT = frozenset({0x0112, 0x0117, 0x0122, 0x0124, 0x0210, 0x0212})
"""Statuses that the same object will get again (PS3.7 annex C): no such SOP instance or class, not authorised..."""


@dataclass(frozen=True, slots=True)
class SendOutcome:
    """What became of one object.

    ``status`` is the DIMSE status, None where none came. ``ok`` is True for 0000 and for warnings (Bxxx, PS3.4 table
    B.2-1: stored, with something coerced or left out), whose text is in ``comment``.
    """

    path: Path
    sop_uid: str
    status: int | None
    comment: str
    ok: bool

    def raise_for_status(self) -> None:
        """Raise :class:`~node.errors.DeliveryError` unless the object was taken."""
        if not self.ok:
            word = "" if self.status is None else f"0x{self.status:04X}"
            mismatch = self.status is not None and self.status >> 8 == 0xA9
            raise DeliveryError(self.comment, status=word, retryable=not (mismatch or (self.status or 0) in PERMANENT))


Progress = Callable[[SendOutcome], None]


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

    One association carries them all, more only if they need more than 128 presentation contexts. A file that cannot be
    read has an outcome too.

    Raises
    ------
    DeliveryError
        If no association comes about, or one is lost while objects are left; these were not tried.
    """
    for batch in batches([item if isinstance(item, Outgoing) else _described(item) for item in items]):
        for outcome in _send_batch(batch, host, port, called_ae, calling_ae, timeout):
            if progress is not None:
                progress(outcome)
            yield outcome


def echo(host: str, port: int, called_ae: str, calling_ae: str, timeout: float = 10.0) -> None:
    """Ask the other side whether it is there (C-ECHO).

    Raises
    ------
    DeliveryError
        If it is not, or does not want to talk.
    """
    with associated([build_context(VERIFICATION)], host, port, called_ae, calling_ae, timeout) as assoc:
        answer = assoc.send_c_echo()
        status = getattr(answer, "Status", None)
        if status != 0x0000:
            word = "no answer" if status is None else f"0x{status:04X}"
            raise DeliveryError(f"C-ECHO failed: {word}", status=word)


def batches(objects: Sequence[Outgoing | SendOutcome]) -> Iterator[list[Outgoing | SendOutcome]]:
    """Split objects, in their order, so that each part needs no more than 128 presentation contexts."""
    batch: list[Outgoing | SendOutcome] = []
    needed: set[tuple[str, tuple[str, ...]]] = set()
    for item in objects:
        more = needed | set(proposals(item)) if isinstance(item, Outgoing) else needed
        if len(more) > MAX_CONTEXTS:
            yield batch
            batch, more = [], set(proposals(item)) if isinstance(item, Outgoing) else set()
        batch.append(item)
        needed = more
    if batch:
        yield batch


def proposals(item: Outgoing) -> list[tuple[str, tuple[str, ...]]]:
    """Return the presentation contexts an object asks for: its own syntax, and one it can be turned into if any."""
    own = (item.sop_class, (item.transfer_syntax,))
    if item.transfer_syntax not in CONVERTIBLE:
        return [own]
    return [own, (item.sop_class, (EXPLICIT_LITTLE, IMPLICIT_LITTLE))]


def _described(path: Path) -> Outgoing | SendOutcome:
    try:
        return describe(path)
    except OverreadError as exc:
        return SendOutcome(path, "", None, str(exc), ok=False)
    except OSError as exc:
        return SendOutcome(path, "", None, f"cannot be read: {type(exc).__name__}", ok=False)


def _send_batch(
    batch: Sequence[Outgoing | SendOutcome], host: str, port: int, called: str, calling: str, timeout: float
) -> Iterator[SendOutcome]:
    objects = [item for item in batch if isinstance(item, Outgoing)]
    wanted = dict.fromkeys(proposal for item in objects for proposal in proposals(item))
    if not wanted:
        yield from (item for item in batch if isinstance(item, SendOutcome))
        return
    contexts = [build_context(sop_class, list(syntaxes)) for sop_class, syntaxes in wanted]
    with associated(contexts, host, port, called, calling, timeout) as assoc:
        for number, item in enumerate(batch):
            if isinstance(item, SendOutcome):
                yield item
                continue
            if not assoc.is_established:
                raise DeliveryError(f"the association was lost; {len(batch) - number} objects were not tried")
            yield _store(assoc, item, number)


def _store(assoc: Association, item: Outgoing, number: int) -> SendOutcome:
    context = _context(assoc, item)
    if context is None:
        comment = "the other side accepts neither this SOP class nor this transfer syntax"
        return SendOutcome(item.path, item.sop_instance, 0x0122, comment, ok=False)
    try:
        answer = _c_store(assoc, context, item, number % 0xFFFF + 1)
    except (OSError, ValueError) as exc:
        return SendOutcome(item.path, item.sop_instance, None, f"cannot be read: {type(exc).__name__}", ok=False)
    if answer is None:
        return SendOutcome(item.path, item.sop_instance, None, "no answer to C-STORE", ok=False)
    return _outcome(item, answer)


def _context(assoc: Association, item: Outgoing) -> PresentationContext | None:
    accepted = [cx for cx in assoc.accepted_contexts if cx.abstract_syntax == item.sop_class]
    exact = [cx for cx in accepted if cx.transfer_syntax[0] == item.transfer_syntax]
    convertible = [
        cx for cx in accepted if item.transfer_syntax in CONVERTIBLE and cx.transfer_syntax[0] in CONVERTIBLE
    ]
    return next(iter(exact + convertible), None)


def _c_store(assoc: Association, context: PresentationContext, item: Outgoing, message: int) -> C_STORE | None:
    """Send one object as its bytes are and wait for the answer.

    pynetdicom's ``send_c_store`` decodes and encodes anew, which changes what many files hold; these are its other
    steps.
    """
    request = C_STORE()
    request.MessageID = message
    request.Priority = 0x0002
    request.AffectedSOPClassUID = UID(item.sop_class)
    request.AffectedSOPInstanceUID = UID(item.sop_instance)
    request.DataSet = BytesIO(_encoded(item, context.transfer_syntax[0]))
    assoc._reactor_checkpoint.clear()
    try:
        assoc.dimse.send_msg(request, int(context.context_id or 0))
        _, answer = assoc.dimse.get_msg(block=True)
    finally:
        assoc._reactor_checkpoint.set()
    if answer is None:
        assoc._handle_no_response()
    elif not isinstance(answer, C_STORE) or not answer.is_valid_response:
        assoc.abort()
    else:
        return answer
    wait_until_over(assoc)
    return None


def _encoded(item: Outgoing, syntax: Any) -> bytes:
    if syntax == item.transfer_syntax:
        return item.dataset()
    ds = dcmread(item.path, force=True)
    converted = encode(ds, syntax.is_implicit_VR, syntax.is_little_endian)
    if converted is None:
        raise ValueError("the object cannot be encoded in the transfer syntax that was agreed")
    return converted


def _outcome(item: Outgoing, answer: C_STORE) -> SendOutcome:
    status = int(answer.Status or 0)
    category = code_to_category(status)
    meaning = STORAGE_SERVICE_CLASS_STATUS.get(status, (category, ""))[1]
    said = getattr(answer, "ErrorComment", None)
    text = "; ".join(str(part) for part in (f"{category} 0x{status:04X}", meaning, said) if part)
    ok = category in ("Success", "Warning")
    return SendOutcome(item.path, item.sop_instance, status, "" if status == 0 else text, ok)
