"""The rules of a node whose configuration has none, in the form of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Names of the chest as Body Part Examined (PS3.16 annex L).
CHEST = ("CHEST", "THORAX", "LUNG")

#: What is not the raw data of a detector; computed radiography does not say it.
SHOWN = ("FOR PRESENTATION", "")

RULES: tuple[Mapping[str, Any], ...] = (
    {
        "name": "brain MR",
        "when": {"modality": "MR", "body_part": ["BRAIN", "HEAD", "HIPPOCAMPUS"]},
        "run": ("hippocampus",),
    },
    {
        "name": "hippocampus MR",
        "when": {"modality": "MR", "series_description": ["*hippo*"]},
        "run": ("hippocampus",),
    },
    {
        "name": "chest radiograph",
        "when": {
            "modality": ["CR", "DX"],
            "body_part": list(CHEST),
            "tags": {"PresentationIntentType": list(SHOWN)},
        },
        "run": ("chest-xray-pneumonia",),
    },
    {"name": "ECG", "when": {"modality": "ECG"}, "run": ("ecg-af",)},
)
"""Models that look for what a site would want to know of any such series; others are the site's to choose. That of
heart sounds is not among them: on recordings of databases that it has not seen it was hardly better than chance."""
