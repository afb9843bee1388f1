"""What is between an answer and its file."""

from __future__ import annotations

from collections.abc import Callable

from node.storage.layout import StoredFile


class Promise:
    """An object that nothing can lose, and whose file is still to be written.

    Parameters
    ----------
    fulfil
        Writes the file; the object stays where it is nevertheless.
    release
        Gives up the place where it is. To be called in any case, and after everybody who has to know has been told of
        the file: who dies before that has the object found there again.
    """

    def __init__(self, fulfil: Callable[[], StoredFile], release: Callable[[], None]) -> None:
        self.fulfil, self.release = fulfil, release
