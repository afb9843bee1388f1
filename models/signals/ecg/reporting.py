"""What is said of a strip: the finding, its sentence, and the limits of this one result."""

from __future__ import annotations

import numpy as np

from models import calibrated
from models.contracts import Finding, Measurement, Waveform
from models.signals.ecg import parts
from models.signals.ecg.intervals import rate_per_minute
from models.signals.ecg.leads import leads_look_exchanged
from models.signals.ecg.network import OTHER
from models.signals.ecg.preparing import RATE_HZ
from models.signals.filters import Array
from models.signals.qrs import Beats

METHOD = "range over three networks"

#: The members disagree when the highest probability and the lowest are this far apart.
DISAGREE = 0.5


def rate_measurement(per_minute: float) -> Measurement:
    """Ventricular rate from the intervals between QRS complexes."""
    return Measurement(
        parts.VENTRICULAR_RATE, round(per_minute, 1), parts.PER_MINUTE, method="mean interval between QRS complexes"
    )


def strip_finding(found: calibrated.Answer, beats: Beats, threshold: float, *, present: bool) -> Finding:
    """State whether a strip shows atrial fibrillation."""
    per_minute = rate_per_minute(beats, RATE_HZ)
    measured = [calibrated.measurement(found, METHOD)]
    rate = ""
    if per_minute is not None:
        measured.append(rate_measurement(per_minute))
        rate = f" Ventricular rate {per_minute:.0f} a minute."
    said = "shows signs of atrial fibrillation" if present else "shows no signs of atrial fibrillation"
    return Finding(
        label=parts.LABEL,
        code=parts.FIBRILLATION,
        measurements=tuple(measured),
        confidence=found.probability,
        text=f"The ECG {said} ({calibrated.said(found, threshold)}).{rate}",
        present=present,
    )


def strip_warnings(
    waveform: Waveform, samples: Array, beats: Beats, logits: Array, *, present: bool
) -> tuple[str, ...]:
    """Sentences on the limits of one result.

    Parameters
    ----------
    logits
        ``[network, window, 4]``.
    """
    names = [channel.name for channel in waveform.channels]
    warnings = []
    flat = [name for name, row in zip(names, samples, strict=True) if np.ptp(row) <= 0]
    if flat:
        warnings.append(f"No signal in {', '.join(flat)}: the rhythm was read from the other leads.")
    if leads_look_exchanged(samples, beats, names, RATE_HZ):
        warnings.append("Lead I is upside down and aVR upright: the arm electrodes may be exchanged.")
    single = len(names) == 1
    if single:
        warnings.append(f"The rhythm was read from lead {names[0]} alone.")
    if single and not present and int(logits[..., :3].mean(axis=(0, 1)).argmax()) == OTHER:
        warnings.append("The rhythm looks like neither a normal one nor atrial fibrillation: it needs a person's look.")
    return tuple(warnings)
