"""One object on its way from the wire into the spool: in memory if it is small, else in pieces into its file."""

from __future__ import annotations

import contextlib
import mmap
import time
from collections.abc import Callable

from node.dicom.headers import check_identifiers
from node.dicom.intake import Intake
from node.dicom.part10 import Command, file_meta
from node.dicom.scp.behind import Behind
from node.dicom.scp.wire import PeerSlow, Wire
from node.errors import OutOfResources, OverreadError
from node.storage.buffer import Buffer
from node.storage.incoming import Incoming
from node.storage.spool import SMALL

GRACE_SECONDS = 10.0
"""How long an object may take before its rate is looked at."""
DRAIN_FACTOR = 2
"""An object that is refused is read to its end, so that its sender hears why, up to so many times the longest."""


BEHIND_BYTES = 1 << 17
"""Files of objects from this length on are written by another thread; to hand over shorter ones costs more."""


class TooLong(OutOfResources):
    """The object exceeds dicom.max_instance_bytes."""


class Arrival:
    """One association's objects, one after the other; the memory is used again for each.

    Parameters
    ----------
    max_bytes, min_rate
        The longest object, and how many bytes of it have to come in a second.
    crowded
        Whether a file had better be written before the next object is read.
    """

    def __init__(
        self, intake: Intake, association: str, max_bytes: int, min_rate: int, crowded: Callable[[], bool]
    ) -> None:
        self._crowded = crowded
        self._behind = Behind(f"{association} files")
        self._intake = intake
        self._association = association
        self._max_bytes, self._min_rate = max_bytes, min_rate
        self._buffer = intake.spool.buffer()
        self._spare: Buffer | None = None
        self._scratch = memoryview(bytearray(1 << 16))
        self._command = Command("", "", "")
        self._incoming: Incoming | None = None
        self._refusal: OverreadError | None = None
        self._meta = b""
        self._total = 0
        self._began = 0.0

    def begin(self, command: Command, refusal: OverreadError | None = None) -> None:
        """Begin with an object; ``refusal`` says that it is only read, not kept."""
        self._command, self._refusal = command, refusal
        self._total = 0
        self._began = time.monotonic()
        self._meta = b""
        if refusal is None:
            try:
                check_identifiers(command)
                self._meta = file_meta(command)
                self._intake.spool.require_room()
            except OverreadError as exc:
                self._refusal = exc
        self._buffer.clear(len(self._meta))

    def read(self, wire: Wire, count: int) -> None:
        """Read ``count`` bytes of the data set from the wire.

        Raises
        ------
        PeerGone, PeerSlow
            As the wire does; and if the object comes slower than it may, or never ends.
        """
        self._total += count
        self._watch()
        if self._refusal is None and self._total > self._max_bytes:
            self._refuse(TooLong("the object is longer than this node takes"))
        if self._refusal is not None:
            wire.skip(count, self._scratch)
            return
        if self._buffer.length + count > SMALL and not self._spill():
            wire.skip(count, self._scratch)
            return
        wire.read_into(self._buffer.room(count))
        self._buffer.advance(count)

    def finish(self, wire: Wire, answer: Callable[[int, str], bytes]) -> None:
        """Decide on the object, keep it, and send what ``answer`` makes of its status and Error Comment.

        Success is answered once nothing can lose the object, which may be before its file is written.
        """
        self._behind.wait()  # a file that is being written may have this object's name
        work = None
        try:
            if self._refusal is None and self._incoming is not None:
                self._spill()
            if self._refusal is not None:
                status, comment = self._intake.refuse_error(self._association, self._command, self._refusal)
            elif self._incoming is None:
                status, comment, work = self._intake.take_buffer(
                    self._association, self._command, self._meta, self._buffer
                )
            else:
                status, comment = self._finish_file(self._incoming)
            if work is not None and not wire.takes_at_once():
                done, work = work, None
                done()  # a peer that does not read must not hold the object's place in the journal
            wire.send(answer(status, comment))
        finally:
            try:
                if work is not None:
                    self._leave(work)
            finally:
                self.abandon()

    def settle(self) -> None:
        """Wait until the files of all objects that were answered for are there."""
        self._behind.wait()

    def close(self) -> None:
        """Forget an unfinished object; wait for the files of the others."""
        try:
            self.abandon()
        finally:
            self._behind.close()
            for buffer in (self._buffer, self._spare):
                if buffer is not None:
                    buffer.close()

    def _leave(self, work: Callable[[], None]) -> None:
        """Have an object's file written; of a large one while the next object comes, into the other buffer."""
        small = self._buffer.length < BEHIND_BYTES
        other = None if small or self._crowded() else self._other_buffer()
        if other is None:
            work()
            return
        self._buffer, self._spare = other, self._buffer
        self._behind.do(work)

    def _other_buffer(self) -> Buffer | None:
        """Return the buffer that is not in use; None where memory is short."""
        if self._spare is None:
            with contextlib.suppress(OSError, MemoryError):
                self._spare = self._intake.spool.buffer()
        return self._spare

    def abandon(self) -> None:
        """Forget the object; nothing of it stays."""
        if self._incoming is not None:
            self._incoming.discard()
        self._incoming = None
        self._buffer.clear()

    def _finish_file(self, incoming: Incoming) -> tuple[int, str]:
        with mmap.mmap(incoming.descriptor, 0, access=mmap.ACCESS_READ) as memory:
            view = memoryview(memory)
            dataset = view[incoming.offset :]
            try:
                return self._intake.take_file(self._association, self._command, dataset, incoming)
            finally:
                dataset.release()
                view.release()

    def _spill(self) -> bool:
        """Move what is in memory into the object's file; False if that cannot be, and the object is refused."""
        try:
            self._intake.spool.require_room()
            if self._incoming is None:
                self._incoming = self._intake.spool.begin(self._command.sop_instance, self._meta)
            self._incoming.write(self._buffer.data)
        except OverreadError as exc:
            self._refuse(exc)
        except OSError:
            self._refuse(OutOfResources("the spool has no room or cannot be written"))
        self._buffer.clear()
        return self._refusal is None

    def _refuse(self, reason: OverreadError) -> None:
        self.abandon()
        self._refusal = reason

    def _watch(self) -> None:
        """Cut off who sends too slowly, and who never ends."""
        seconds = time.monotonic() - self._began
        if seconds > GRACE_SECONDS and self._total < self._min_rate * seconds:
            raise PeerSlow("the object comes too slowly")
        if self._total > DRAIN_FACTOR * self._max_bytes:
            raise PeerSlow("the object does not end")
