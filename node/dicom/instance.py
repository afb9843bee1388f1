"""What is known of one instance without its pixels. Plain data, so that a receiver needs no database for it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from node.clock import now


@dataclass(frozen=True, slots=True)
class InstanceHeader:
    """What the index keeps of one stored instance.

    Texts are decoded, free of control characters, and no longer than their columns. ``path`` is below the spool,
    ``digest`` is of the data set without File Meta.
    """

    uid: str
    sop_class: str
    transfer_syntax: str
    study_uid: str
    series_uid: str
    path: str = ""
    size: int = 0
    digest: str = ""
    received_at: dt.datetime = field(default_factory=now)
    calling_ae_title: str = ""
    called_ae_title: str = ""
    number: int | None = None
    patient_id: str = ""
    issuer: str = ""
    patient_name: str = ""
    birth_date: str = ""
    sex: str = ""
    accession_number: str = ""
    study_description: str = ""
    study_date: str = ""
    study_time: str = ""
    modality: str = ""
    body_part: str = ""
    series_description: str = ""
    series_number: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
