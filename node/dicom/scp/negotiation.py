"""Answering A-ASSOCIATE-RQ (PS3.8 section 7.1, PS3.7 annex D) with pynetdicom's codecs and its negotiation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES, build_context
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import PresentationContext, negotiate_as_acceptor
from pynetdicom.service_class import ServiceClass, StorageServiceClass
from pynetdicom.sop_class import uid_to_service_class

from node.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.dicom.scp.wire import ProtocolError
from node.dicom.services import STORAGE_COMMITMENT, abstract_syntaxes

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
ENCAPSULATED_UNCOMPRESSED = "1.2.840.10008.1.2.1.98"
TRANSFER_SYNTAXES: tuple[str, ...] = (*ALL_TRANSFER_SYNTAXES, ENCAPSULATED_UNCOMPRESSED)
"""All that pydicom knows, and JPIP and encapsulated uncompressed, whose structure is known too (PS3.5 annex A)."""
PLAIN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
"""For services whose messages are decoded: neither pixels to compress, nor a megabyte that inflates to a gigabyte."""
EITHER_ROLE = frozenset({STORAGE_COMMITMENT})
"""What the node both provides and uses: who reports to it asks for the provider's role (PS3.7 D.3.3.4, PS3.4 J.3.3)."""
REMEMBERED_BYTES = 1 << 14
"""Longest request that is remembered: 128 contexts of a few transfer syntaxes. Decoded it takes some 100 kB, and half a
megabyte at worst."""
TITLES_END = 42
"""Where the AE titles of a request end, behind head, protocol version and two reserved bytes."""
MAX_CONTEXTS = 128
"""Presentation context IDs are the odd numbers from 1 to 255 (PS3.8 section 9.3.2.2)."""


@dataclass(frozen=True, slots=True)
class Context:
    """An accepted presentation context."""

    abstract_syntax: str
    transfer_syntax: str


Answer = tuple[bytes, Mapping[int, Context]]


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """What a peer asks for; shared by all associations that ask for the same.

    ``max_pdu`` is the longest P-DATA-TF that it takes; 0: any. ``answers`` are those of :func:`accept`, by its
    ``max_pdu``. ``pdu`` is the request as it came; empty for a long one, which is not remembered.
    """

    primitive: Any
    calling_ae_title: str
    called_ae_title: str
    protocol_version: int = 1
    max_pdu: int = 0
    answers: dict[int, Answer] = field(default_factory=dict)
    pdu: bytes = field(default=b"", repr=False)

    @property
    def application_context(self) -> str:
        """The application context name that it proposes."""
        return str(self.primitive.application_context_name or "")


def is_storage(abstract_syntax: str) -> bool:
    """Whether a SOP class is one of storage: a known one, a private one, or one that nobody here has heard of.

    What is known as something else (query, worklist, print, hanging protocols...) is not.
    """
    uid = UID(abstract_syntax)
    service = uid_to_service_class(uid)
    if service is StorageServiceClass:
        return True
    known = uid in UID_dictionary
    return service is ServiceClass and (not known or "Storage" in uid.name) and uid != MEDIA_STORAGE_DIRECTORY


def contexts_for(proposed: Sequence[PresentationContext]) -> list[PresentationContext]:
    """Return what to support of the proposed contexts: storage and the services there are; none of the rest."""
    wanted = {str(cx.abstract_syntax) for cx in proposed}
    return [build_context(uid, list(syntaxes)) for uid in sorted(wanted) if (syntaxes := transfer_syntaxes(uid))]


def transfer_syntaxes(abstract_syntax: str) -> tuple[str, ...]:
    """Return the transfer syntaxes to support for an abstract syntax; none for those that are not supported."""
    if abstract_syntax in abstract_syntaxes():
        return PLAIN
    return TRANSFER_SYNTAXES if is_storage(abstract_syntax) else ()


def titles(pdu: bytes) -> tuple[str, str]:
    """Return calling and called AE title of an A-ASSOCIATE-RQ, which stand at fixed places (PS3.8 table 9-11).

    Raises
    ------
    ProtocolError
        If it is too short to have them.
    """
    if len(pdu) < TITLES_END:
        raise ProtocolError("the association request is cut off")
    called, calling = pdu[10:26], pdu[26:TITLES_END]
    return _title(calling.decode("latin-1")), _title(called.decode("latin-1"))


def parse(pdu: bytes) -> Proposal:
    """Decode an A-ASSOCIATE-RQ, its head included.

    A request for 128 contexts takes some 10 ms, and its answer as much again. A sender asks for the same each time, so
    the last ones that were accepted are remembered; who asks like one of them waits for nobody.

    Raises
    ------
    ProtocolError
        If it is not one.
    """
    if (known := _ACCEPTED.find(pdu)) is not None:
        return known
    with _TURN if len(pdu) <= REMEMBERED_BYTES else _LONG_TURN:
        return _ACCEPTED.find(pdu) or _parsed(pdu)


_TURN, _LONG_TURN = Lock(), Lock()
"""One request is read at a time, and beside it a long one: strangers who ask at length, all at once, are two threads to
those who are served, not as many as they are."""


class Accepted:
    """The last requests that were accepted. Strangers, who are not, fill no memory and push nobody out.

    Parameters
    ----------
    most
        How many are remembered.
    """

    def __init__(self, most: int = 32) -> None:
        self._most = most
        self._known: dict[bytes, Proposal] = {}
        self._lock = Lock()

    def find(self, pdu: bytes) -> Proposal | None:
        """Return what was remembered of the same request."""
        with self._lock:
            if (known := self._known.pop(pdu, None)) is not None:
                self._known[pdu] = known  # now the last one that was asked for
            return known

    def remember(self, proposal: Proposal) -> None:
        """Remember a request, unless it is a long one; forget the one that was not asked for the longest."""
        if not proposal.pdu:
            return
        with self._lock:
            self._known[proposal.pdu] = proposal
            if len(self._known) > self._most:
                del self._known[next(iter(self._known))]


_ACCEPTED = Accepted()


def _parsed(pdu: bytes) -> Proposal:
    try:
        request = A_ASSOCIATE_RQ()
        request.decode(pdu)
        primitive = request.to_primitive()
        titles = _title(primitive.calling_ae_title), _title(primitive.called_ae_title)
        max_pdu = int(primitive.maximum_length_received or 0)
        key = pdu if len(pdu) <= REMEMBERED_BYTES else b""
        return Proposal(primitive, *titles, int(request.protocol_version), max_pdu, pdu=key)
    except Exception as exc:  # whatever pynetdicom's codec stumbles over
        raise ProtocolError("the association request cannot be read") from exc


def accept(proposal: Proposal, max_pdu: int) -> Answer:
    """Return the A-ASSOCIATE-AC and the accepted contexts by their id; there may be none.

    Raises
    ------
    ProtocolError
        If what is proposed contradicts itself.
    """
    if (known := proposal.answers.get(max_pdu)) is not None:
        return known
    with _TURN if proposal.pdu else _LONG_TURN:
        if max_pdu not in proposal.answers:
            proposal.answers[max_pdu] = _answer(proposal, max_pdu)
    _ACCEPTED.remember(proposal)
    return proposal.answers[max_pdu]


def _answer(proposal: Proposal, max_pdu: int) -> Answer:
    primitive = copy(proposal.primitive)  # it becomes the answer; another association may be reading the request
    proposed = list(primitive.presentation_context_definition_list)
    if len({cx.context_id for cx in proposed}) != len(proposed) or len(proposed) > MAX_CONTEXTS:
        raise ProtocolError("presentation contexts are proposed twice")
    try:
        roles = {
            item.sop_class_uid: (item.scu_role, item.scp_role)
            for item in primitive.user_information
            if isinstance(item, SCP_SCU_RoleSelectionNegotiation) and item.sop_class_uid is not None
        }
        results, replies = _negotiate(proposed, roles)
        primitive.presentation_context_definition_results_list = results
        primitive.result = 0
        primitive.presentation_context_definition_list = []
        primitive.user_information = [*user_information(max_pdu), *replies]
        answer = A_ASSOCIATE_AC()
        answer.from_primitive(primitive)
        data = bytes(answer.encode())
    except Exception as exc:
        raise ProtocolError("the association request cannot be answered") from exc
    return data, {
        cx.context_id: Context(str(cx.abstract_syntax), str(cx.transfer_syntax[0]))
        for cx in results
        if cx.result == 0 and cx.context_id is not None
    }


def _negotiate(
    proposed: Sequence[PresentationContext], roles: dict[UID, tuple[bool | None, bool | None]]
) -> tuple[list[PresentationContext], list[SCP_SCU_RoleSelectionNegotiation]]:
    """Negotiate each context by itself: pynetdicom takes its own first transfer syntax, we the peer's.

    A sender names first what it has; another one would make it decompress, or drop the VRs of private elements.
    """
    results, replies = [], []
    for cx in proposed:
        known = transfer_syntaxes(str(cx.abstract_syntax))
        chosen = [*(uid for uid in cx.transfer_syntax if uid in known), *known][:1]
        ours = [build_context(str(cx.abstract_syntax), chosen[0])] if chosen else []
        if str(cx.abstract_syntax) in EITHER_ROLE and ours:
            ours[0].scu_role = ours[0].scp_role = True
        result, reply = negotiate_as_acceptor([cx], ours, roles)
        results += result
        replies += reply
    return results, replies


def user_information(max_pdu: int) -> list[Any]:
    """Return what either side tells of itself: the longest PDU that it takes, and what it is (PS3.7 D.3.3)."""
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = max_pdu
    implementation.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    return [length, implementation, version]


def _title(value: str) -> str:
    return "".join(char for char in value if char.isprintable()).strip()
