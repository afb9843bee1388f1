"""MLLP frames in a byte stream (Transport Specification: MLLP, Release 1; HL7 v2.5.1 appendix C), without any sockets.

A frame is VT (0x0B), the message, FS (0x1C), CR. FS alone ends a frame: no character set that the node reads has that
byte, and waiting for a CR that a careless sender leaves out would hang both sides.
"""

from __future__ import annotations

START = 0x0B
END = 0x1C
_BETWEEN = b"\r\n"
HEAD_BYTES = 8192
"""How much of a message that is too long is kept: enough for its MSH."""


def frame(message: bytes) -> bytes:
    """Wrap a message for the wire."""
    return bytes((START,)) + message + bytes((END,)) + b"\r"


class FrameDecoder:
    """Bytes in, whole messages out; however they are cut or glued.

    Attributes
    ----------
    garbage
        Bytes outside frames so far (line ends between frames do not count), and of frames that a new VT cut short.
    too_large
        The beginning of a message that exceeded ``max_bytes``, or None. From then on the decoder takes nothing.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.garbage = 0
        self.too_large: bytes | None = None
        self._frame: bytearray | None = None

    @property
    def pending(self) -> int:
        """Bytes of the frame that has begun and not ended."""
        return len(self._frame or b"")

    @property
    def unfinished(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._frame is not None

    @property
    def head(self) -> bytes:
        """The beginning of the frame that has begun."""
        return bytes((self._frame or b"")[:HEAD_BYTES])

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; return the messages that they complete."""
        messages: list[bytes] = []
        position = 0
        while position < len(data) and self.too_large is None:
            if self._frame is None:
                position = self._seek_start(data, position)
            else:
                position = self._take(data, position, self._frame, messages)
        return messages

    def _seek_start(self, data: bytes, position: int) -> int:
        start = data.find(START, position)
        skipped = data[position:] if start < 0 else data[position:start]
        self.garbage += len(skipped.translate(None, _BETWEEN))
        if start < 0:
            return len(data)
        self._frame = bytearray()
        return start + 1

    def _take(self, data: bytes, position: int, buffer: bytearray, messages: list[bytes]) -> int:
        end = data.find(END, position)
        stop = len(data) if end < 0 else end
        restart = data.rfind(START, position, stop)
        if restart >= 0:  # the sender began again: what came before was never finished, nor acknowledged
            self.garbage += len(buffer) + restart - position
            buffer.clear()
            position = restart + 1
        room = self.max_bytes - len(buffer)
        if stop - position > room:
            self.too_large = bytes(buffer[:HEAD_BYTES]) + data[position:stop][: max(HEAD_BYTES - len(buffer), 0)]
            self._frame = None
            return len(data)
        buffer += data[position:stop]
        if end < 0:
            return len(data)
        messages.append(bytes(buffer))
        self._frame = None
        return end + 1
