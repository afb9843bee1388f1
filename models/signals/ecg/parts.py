"""What the rhythm model reads and reports: channels, codes, limits, sentences; no arrays."""

from __future__ import annotations

from models.codes import NO_UNITS, OWN_SCHEME
from models.contracts import Code, InputKind, InputRequirements, ResultSpec, WaveformNeeds

LABEL = "atrial-fibrillation"

#: SNOMED CT, as implementers of mobile ECG use it for this statement of a device.
FIBRILLATION = Code("164889003", "SCT", "Electrocardiographic atrial fibrillation")

#: PS3.16 TID 3713 (ECG Global Measurements) and its unit.
VENTRICULAR_RATE = Code("2:16016", "MDC", "Ventricular Heart Rate")
PER_MINUTE = Code("{H.B.}/min", "UCUM", "BPM")

BURDEN = Code("AF-BURDEN", OWN_SCHEME, "Share of the readable time in atrial fibrillation")
PERCENT = Code("%", "UCUM", "Percent")

TWELVE_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

#: One lead does where there are not twelve; the first of these that is there. MLII, CM5 and CC5 are ambulatory leads.
SINGLE_LEADS = ("I", "II", "MLII", "V5", "CM5", "CC5", "V1", "V2", "V3", "V4", "V6", "III", "aVF", "aVL", "aVR")

#: So many of the twelve leads may be flat (electrodes that are off); the others are read.
MOST_FLAT = 6

REQUIREMENTS = InputRequirements(
    modalities=("ECG",),
    description="The model reads the rhythm of a twelve-lead or single-lead ECG of 8 s or more.",
    kind=InputKind.WAVEFORM,
    waveform=WaveformNeeds(
        channels=(TWELVE_LEADS, *((lead,) for lead in SINGLE_LEADS)),
        rate_hz=(100.0, 2000.0),
        seconds=(8.0, 26 * 3600.0),
    ),
)

RESULTS = (ResultSpec(LABEL, FIBRILLATION, NO_UNITS),)

#: Records longer than this, in seconds, are read as ambulatory ones: window by window, with the share of fibrillation.
LONGEST_STRIP_S = 75.0

#: A twelve-lead record is read in windows of this many seconds, as its training set has.
TWELVE_WINDOW_S = 10.0

#: Fibrillation of a long record must last for this many windows of 30 s that follow each other; one alone in thousands
#: is more likely an error of the model.
LEAST_RUN = 2

#: Ventricular rates outside this range, a minute, are no beats but something else.
RATE_RANGE = (20.0, 280.0)
