"""What the heart sound model reads and reports: channels, codes, limits; no arrays."""

from __future__ import annotations

from models.codes import NO_UNITS, OWN_SCHEME
from models.contracts import Code, InputKind, InputRequirements, ResultSpec, WaveformNeeds

LABEL = "abnormal-heart-sound"

#: The training set says "abnormal" of recordings of patients with a confirmed heart disease of any kind, mostly of the
#: valves and the coronary arteries: no concept of a clinical scheme says just that.
ABNORMAL = Code("ABNORMAL-HEART-SOUND", OWN_SCHEME, "Sound like those of patients with heart disease")

HEART_RATE = Code("8867-4", "LN", "Heart rate")
PER_MINUTE = Code("{H.B.}/min", "UCUM", "BPM")

REQUIREMENTS = InputRequirements(
    modalities=("AU",),
    description="The model reads a phonocardiogram of 3 s to 10 min, recorded with a stethoscope, not speech.",
    kind=InputKind.WAVEFORM,
    waveform=WaveformNeeds(rate_hz=(1000.0, 48000.0), seconds=(3.0, 600.0)),
)

RESULTS = (ResultSpec(LABEL, ABNORMAL, NO_UNITS),)

#: Stands in the finding's sentence itself, which goes where no warning does.
CAVEAT = "On recorders that it was not trained on the model did no better than chance."

#: Said with every answer: what the figures over sub-databases showed (docs/model_heart_sound.md).
WARNING = (
    "On recorders that it was not trained on this model did no better than chance: measure it on this one before "
    "anything is read into the probability."
)

#: Names by which a channel of heart sound is known among others; the first channel where none has one.
CHANNEL_NAMES = ("PCG", "HEART SOUND", "PHONOCARDIOGRAM", "HS")

#: Beats a minute that the envelope's period may be.
RATE_RANGE = (35.0, 210.0)
