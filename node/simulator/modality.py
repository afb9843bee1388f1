"""A modality: sends a study to a node, as a scanner does when the technologist closes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from node.dicom.sender import Progress, SendOutcome, send
from node.simulator.studies import GeneratedStudy, write

AE_TITLE = "SIM_MODALITY"


def send_study(
    study: GeneratedStudy,
    folder: Path,
    host: str,
    port: int,
    *,
    called_ae: str,
    calling_ae: str = AE_TITLE,
    timeout: float = 30.0,
    progress: Progress | None = None,
) -> Iterator[SendOutcome]:
    """Write a generated study into a folder, send it over one association, and yield each object's outcome.

    Raises
    ------
    DeliveryError
        If no association comes about or it is lost.
    """
    paths = write(study, folder / study.study_uid)
    yield from send(paths, host, port, called_ae, calling_ae, timeout, progress)
