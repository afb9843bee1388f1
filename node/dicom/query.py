"""The query SCU (PS3.4 annex C): asking a peer how many instances a study has.

The number is an optional key of the Study Root model: Number of Study Related Instances (0020,1208) at the level STUDY
(table C.6-5), Number of Series Related Instances (0020,1209) at the level SERIES (table C.6-3). A peer that does not
support a key leaves it out or empty (C.2.2.1.3), so the second is asked for where the first does not come.
"""

from __future__ import annotations

import ssl
import time
import warnings
from collections.abc import Mapping
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import build_context
from pynetdicom.association import Association

from node.dicom.requestor import associated
from node.errors import OverreadError

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
PENDING = frozenset({0xFF00, 0xFF01})
"""A match follows; with FF01 some optional keys were not supported (PS3.4 table C.4-1)."""
MAX_MATCHES = 10000
"""Matches that are read: a study has fewer series, and a peer that ignores the study's UID has more."""
MAX_COUNT = 10_000_000
"""Larger numbers of instances are a mistake of the peer."""
TIMEOUT_SECONDS = 5.0
"""How long a connection, an association and each answer may take."""
LONGEST_SECONDS = 10.0
"""How long all answers together may take."""


class QueryError(OverreadError):
    """A peer did not answer a query; the message says why, in the peer's words."""

    retryable = True


def count_instances(
    study_uid: str,
    host: str,
    port: int,
    called_ae: str,
    calling_ae: str,
    timeout: float = TIMEOUT_SECONDS,
    tls: ssl.SSLContext | None = None,
) -> int | None:
    """Return how many instances of a study a peer has; 0 if it does not know the study, None if it gives no number.

    Raises
    ------
    DeliveryError
        If no association comes about.
    QueryError
        If the peer refuses the query or breaks off.
    """
    with associated([build_context(STUDY_ROOT_FIND)], host, port, called_ae, calling_ae, timeout, tls) as assoc:
        studies = _find(assoc, study_uid, "STUDY", {"NumberOfStudyRelatedInstances": ""})
        if not studies:
            return 0
        count = _number(studies[0], "NumberOfStudyRelatedInstances")
        if count is not None:
            return count
        keys = {"SeriesInstanceUID": "", "NumberOfSeriesRelatedInstances": ""}
        return _sum(_find(assoc, study_uid, "SERIES", keys))


def _sum(matches: list[Dataset]) -> int | None:
    """Add up the series, each once; None if the number of one is missing."""
    counts = {
        str(match.get("SeriesInstanceUID", "")): _number(match, "NumberOfSeriesRelatedInstances") for match in matches
    }
    known = [count for count in counts.values() if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def _find(assoc: Association, study_uid: str, level: str, keys: Mapping[str, str]) -> list[Dataset]:
    """Return the matches of the very study; a peer that ignores the UID gives those of others too."""
    query = Dataset()
    query.QueryRetrieveLevel = level
    query.StudyInstanceUID = study_uid
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    try:
        matches = _matches(assoc, query)
    except QueryError:
        assoc.abort()  # what the peer still has to say is not waited for
        raise
    except (ValueError, RuntimeError, AttributeError) as exc:
        raise QueryError(f"the query failed ({type(exc).__name__})") from exc
    return [match for match in matches if str(match.get("StudyInstanceUID", "")) == study_uid]


def _matches(assoc: Association, query: Dataset) -> list[Dataset]:
    deadline = time.monotonic() + LONGEST_SECONDS
    found: list[Dataset] = []
    for answer, match in assoc.send_c_find(query, STUDY_ROOT_FIND):
        status = getattr(answer, "Status", None)
        if status not in PENDING:
            _check_end(status)
            break
        if len(found) >= MAX_MATCHES or time.monotonic() > deadline:
            raise QueryError("the peer gives more matches than a study can have, or gives them too slowly")
        found.append(match if match is not None else Dataset())
    return found


def _check_end(status: int | None) -> None:
    if status is None:
        raise QueryError("the peer gave no answer in time, or broke off")
    if status != 0x0000:
        raise QueryError(f"the peer refused the query with status 0x{status:04X}")


def _number(match: Dataset, keyword: str) -> int | None:
    """Read a number that a peer wrote; None if there is none, or none that can be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value: Any = match.get(keyword)
            number = int(value)
        except (TypeError, ValueError, OverflowError):
            return None
    return number if 0 <= number <= MAX_COUNT else None
