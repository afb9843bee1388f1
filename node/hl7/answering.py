"""What a message is answered, and when: decided from its bytes and the settings alone, so the same bytes get the same.

In the original mode (HL7 v2.5.1 section 2.9.2) AA is answered once the message is kept and understood; with
``hl7.acknowledge = "processed"``, once it was taken over into the records. In the enhanced mode (section 2.9.3) the
accept acknowledgement is answered once it is kept, and the application's own once it was taken over, each under its
condition (MSH-15, MSH-16; table 0155). What is refused at once is refused by one answer, and by nothing later.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from node import logs
from node.errors import Hl7InputError
from node.hl7 import ack as acks
from node.hl7 import inbound
from node.hl7.ack import Wanted
from node.hl7.inbox import Arrival
from node.hl7.message import Header, peek
from node.settings import Hl7Section


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is to be done with a message.

    Parameters
    ----------
    arrival
        What is to be kept before anything is answered; None where nothing is (an acknowledgement, half a message).
    answer
        What is answered once it is kept; None where nothing is, or not yet.
    later
        Under which condition of table 0155 the application's answer is given once it is known; "" for never.
    in_order
        Whether that later answer is the one answer to the message, which those after it wait for.
    """

    header: Header
    wanted: Wanted
    arrival: Arrival | None
    answer: bytes | None
    later: str = ""
    in_order: bool = False


def judge(raw: bytes, peer: str, settings: Hl7Section) -> Judgement:
    """Decide what is answered to a message; never raises.

    Parameters
    ----------
    raw
        The message without its frame.
    peer
        The address that it came from.
    """
    try:
        message = inbound.understand(raw, settings).message
    except Hl7InputError as exc:
        return _refused(raw, peer, settings, exc, str(exc))
    except Exception as exc:  # a bug of ours: the message is kept, visible, and worth another try
        logs.get("hl7").error("message.not_understood", peer=peer, error=exc)
        return _refused(raw, peer, settings, acks.not_now(), f"internal error ({type(exc).__name__})")
    return _accepted(raw, peer, settings, message.header, acks.wanted(raw, message.header))  # as a refusal reads them


def too_long(head: bytes, settings: Hl7Section) -> Judgement:
    """Decide what is answered to a message that is too long: half a message is not kept, and not to be replayed."""
    return _turned_away(head, settings, acks.too_long(settings.max_message_bytes))


def no_room(head: bytes, settings: Hl7Section) -> Judgement:
    """Decide what is answered to a message for whose rest there is no memory now."""
    return _turned_away(head, settings, acks.not_now())


def not_kept(judgement: Judgement, settings: Hl7Section) -> bytes | None:
    """Return the answer to a message that could not be kept: AE or CE 207, never an acceptance."""
    return _refusal(judgement.header, judgement.wanted, settings, acks.not_now())


def _accepted(raw: bytes, peer: str, settings: Hl7Section, header: Header, wanted: Wanted) -> Judgement:
    if wanted.enhanced:
        answer = acks.accept(header, settings, commit=True) if acks.meets(wanted.accept, "CA") else None
        later = "" if wanted.application == "NE" else wanted.application
        return Judgement(header, wanted, _arrival(raw, peer, "CA" if answer else ""), answer, later)
    if settings.acknowledge == "processed":
        return Judgement(header, wanted, _arrival(raw, peer, ""), None, "AL", in_order=True)
    return Judgement(header, wanted, _arrival(raw, peer, "AA"), acks.accept(header, settings))


def _refused(raw: bytes, peer: str, settings: Hl7Section, error: Hl7InputError, reason: str) -> Judgement:
    """Refuse a message; it is kept with its reason. A failure of ours (207) leaves it open to a repetition.

    An acknowledgement is none that can be used either; it is not kept, and never answered.
    """
    header = peek(raw)
    wanted = acks.wanted(raw, header)
    if header.code.upper() in acks.ANSWERS:
        return Judgement(header, wanted, None, None)
    answer = _refusal(header, wanted, settings, error)
    if not raw.strip():  # two bytes on the wire are not to become a row
        return Judgement(header, wanted, None, answer)
    told = f"{acks.code_of(answer)} {error.error_code}" if answer else ""
    final = None if error.error_code == "207" else acks.refuse(header, settings, error)
    arrival = Arrival(raw, dt.datetime.now(dt.UTC), peer, told, reason, final)
    return Judgement(header, wanted, arrival, answer)


def _turned_away(head: bytes, settings: Hl7Section, error: Hl7InputError) -> Judgement:
    header = peek(head)
    wanted = acks.wanted(head, header)
    return Judgement(header, wanted, None, _refusal(header, wanted, settings, error))


def _refusal(header: Header, wanted: Wanted, settings: Hl7Section, error: Hl7InputError) -> bytes | None:
    """Refuse at the level at which the sender wants to hear of it; None if at neither."""
    if not wanted.enhanced or (not acks.meets(wanted.accept, "CE") and acks.meets(wanted.application, "AE")):
        return acks.refuse(header, settings, error)
    return acks.refuse(header, settings, error, commit=True) if acks.meets(wanted.accept, "CE") else None


def _arrival(raw: bytes, peer: str, told: str) -> Arrival:
    return Arrival(raw, dt.datetime.now(dt.UTC), peer, told)
