"""hl7apy's own MLLP server with a handler as its documentation shows it: parse the message, build the answer.

The server closes the connection behind each answer; it keeps nothing.
"""

from __future__ import annotations

import sys

from hl7apy.core import Message
from hl7apy.mllp import AbstractHandler, MLLPServer
from hl7apy.parser import parse_message

TYPES = ("ADT^A08^ADT_A01", "ORU^R01^ORU_R01", "MDM^T02^MDM_T02")


class Acknowledge(AbstractHandler):  # type: ignore[misc]
    """Parses a message and accepts it."""

    def reply(self) -> str:
        """Return the ACK."""
        message = parse_message(self.incoming_message)
        ack = Message("ACK", version="2.5.1")
        ack.msh.msh_3, ack.msh.msh_4 = "PEER", "PEER"
        ack.msh.msh_5 = message.msh.msh_3.value
        ack.msh.msh_6 = message.msh.msh_4.value
        ack.msh.msh_9 = "ACK"
        ack.msh.msh_10 = message.msh.msh_10.value
        ack.msh.msh_11 = "P"
        ack.msa.msa_1 = "AA"
        ack.msa.msa_2 = message.msh.msh_10.value
        return str(ack.to_mllp())


class Server(MLLPServer):  # type: ignore[misc]
    """The server, with room for senders that connect at one moment: its own five places cost others a second."""

    request_queue_size = 128


if __name__ == "__main__":
    Server("127.0.0.1", int(sys.argv[1]), dict.fromkeys(TYPES, (Acknowledge,))).serve_forever()
