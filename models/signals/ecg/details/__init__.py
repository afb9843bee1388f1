"""More numbers of a single lead than the network gets: what the forests beside it read.

Intervals, shapes of the beats, what lies between them, and how clean the strip is: the kinds of measures that entries
of the CinC 2017 challenge gave to trees (Zabihi M et al., Detection of atrial fibrillation in ECG hand-held devices
using a random forest classifier, Computing in Cardiology 2017), chosen and written anew here.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.signals.ecg.details.intervals import FEWEST, describe_intervals
from models.signals.ecg.details.names import NAMES
from models.signals.ecg.details.quality import describe_quality
from models.signals.ecg.details.rest import describe_rest
from models.signals.ecg.details.shapes import cut, describe_shapes
from models.signals.filters import Array
from models.signals.qrs import Beats

__all__ = ["NAMES", "describe_details"]

#: Numbers beyond this are cut, so that half precision can hold what they are compared with.
LARGEST = 1e4


def describe_details(lead: Array, beats: Beats, rate_hz: float) -> npt.NDArray[np.float32]:
    """Numbers of :data:`NAMES` for one lead.

    Parameters
    ----------
    lead
        ``[sample]``, two seconds or more, as :func:`models.signals.ecg.preparing.prepare` gives it.
    beats
        Sample index of each beat.

    Returns
    -------
    array
        ``[len(NAMES)]``, finite; what cannot be said of so few beats is 0.
    """
    found = describe_quality(lead, beats, rate_hz)
    shapes = cut(lead, beats, rate_hz) if beats.size > FEWEST else None
    if shapes is not None:
        found |= describe_intervals(np.diff(beats) / rate_hz)
        found |= describe_shapes(shapes, beats) | describe_rest(lead, beats, shapes)
    values = np.array([found.get(name, 0.0) for name in NAMES])
    finite = np.nan_to_num(values, posinf=LARGEST, neginf=-LARGEST)
    return np.asarray(np.clip(finite, -LARGEST, LARGEST), dtype=np.float32)
