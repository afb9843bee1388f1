"""Where things lie in the spool.

::

    spool/instances/<hh>/<UID>.dcm            an instance; <hh> are two hexadecimal digits of the UID's SHA-256
    spool/instances/<hh>/<UID>~<digest>.dcm   another object that came under the same UID, where the policy keeps both
    spool/incoming/<slot>/                    what one process is writing
    spool/journal/<slot>.journal              what one process answered for and the file system has not written yet
    spool/ledger/                             what was received and is not in the records yet
    spool/damaged/                            files that a power cut left unfinished; nobody was told they were kept
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from node.dicom.uid import is_uid
from node.errors import DicomInputError

INSTANCES, INCOMING, JOURNAL, LEDGER, DAMAGED = "instances", "incoming", "journal", "ledger", "damaged"
FAN_OUT = 2
"""Hexadecimal digits that choose a directory: 256 of them keep ten million instances at some 40,000 names each."""
SUFFIX = ".dcm"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is kept.

    ``path`` is relative to the spool; ``new`` is False where the same bytes were there already; ``beside`` is True
    where another object has the UID and this one is kept next to it.
    """

    path: str
    size: int
    digest: str
    new: bool = True
    beside: bool = False


def fan_of(sop_instance: str) -> str:
    """Return the directory of an instance below the spool.

    Raises
    ------
    DicomInputError
        If it has not the form of a UID (PS3.5 section 9.1).
    """
    if not is_uid(sop_instance):
        raise DicomInputError("SOP Instance UID is not a UID")
    return f"{INSTANCES}/{hashlib.sha256(sop_instance.encode('ascii')).hexdigest()[:FAN_OUT]}"


def journal_of(root: Path, slot: int) -> Path:
    """Return the journal of a slot."""
    return root / JOURNAL / f"{slot}.journal"


@lru_cache(maxsize=256)
def name_of(sop_instance: str) -> str:
    """Return the path of an instance below the spool, whether or not it is there."""
    return f"{fan_of(sop_instance)}/{sop_instance}{SUFFIX}"


def name_beside(sop_instance: str, digest: str, number: int = 0) -> str:
    """Return the path of another object with the same UID: told apart by its contents, so it is kept once.

    ``number`` counts objects whose digests are alike, which is no accident: the digest can be forged.
    """
    alike = f"-{number}" if number else ""
    return f"{fan_of(sop_instance)}/{sop_instance}~{digest.rsplit(':', 1)[-1][:16]}{alike}{SUFFIX}"


def fans() -> list[str]:
    """Return all directories of instances."""
    return [f"{INSTANCES}/{number:0{FAN_OUT}x}" for number in range(16**FAN_OUT)]
