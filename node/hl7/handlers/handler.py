"""What a kind of message needs: a pure reader, and a function that takes over what was read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from node.hl7.handlers.common import Incoming
from node.hl7.message import Hl7Message

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Handler(Generic[T]):
    """One message type.

    Parameters
    ----------
    read
        Pure: gives what the message states, in the records' terms, or refuses it by
        :class:`~node.errors.Hl7InputError`. It runs before the message is acknowledged, so that its sender hears of
        every fault that the message itself has.
    take
        Puts what was read into the records; returns one sentence for the timeline, without patient data. It runs after
        the acknowledgement, in the order in which messages came. What it refuses stays visible and can be replayed.
    """

    read: Callable[[Hl7Message], T]
    take: Callable[[Incoming, T], str]


def at_once(take: Callable[[Incoming], str]) -> Handler[Any]:
    """Return a handler whose reading and taking are one function."""
    return Handler(lambda message: message, lambda incoming, _: take(incoming))


@dataclass(frozen=True, slots=True)
class Understood:
    """A message that can be used: what its handler read of it, to be taken over when its turn comes."""

    message: Hl7Message
    handler: Handler[Any]
    statement: Any

    def take(self, incoming: Incoming) -> str:
        """Put it into the records; returns one sentence for the timeline."""
        return self.handler.take(incoming, self.statement)
