"""Whether the leads are where they should be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.signals.filters import Array
from models.signals.qrs import Beats

#: The QRS complex about its R peak, in seconds.
_QRS_S = 0.05

#: A lead's complex counts as negative or positive when its mean is beyond this, in standard deviations of the lead.
_CLEAR = 0.3

#: Fewer beats than this say nothing.
_FEWEST_BEATS = 3


def leads_look_exchanged(samples: Array, beats: Beats, names: Sequence[str], rate_hz: float) -> bool:
    """Whether left and right arm electrodes may be exchanged.

    Then lead I is upside down and aVR upright, while V6, which looks from the same side as I, is upright as ever. Right
    axis deviation and lateral infarction can look the same, so this is a warning and no more.

    Parameters
    ----------
    samples
        ``[lead, sample]``, standardised.
    """
    places = {name.casefold(): place for place, name in enumerate(names)}
    reach = round(_QRS_S * rate_hz)
    inner = beats[(beats >= reach) & (beats < samples.shape[-1] - reach)]
    if not {"i", "avr", "v6"} <= places.keys() or inner.size < _FEWEST_BEATS:
        return False
    around = inner[:, None] + np.arange(-reach, reach + 1)[None]

    def net(name: str) -> float:
        return float(np.median(samples[places[name]][around].mean(axis=1)))

    return net("i") < -_CLEAR and net("avr") > _CLEAR and net("v6") > _CLEAR
