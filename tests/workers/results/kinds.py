"""Generated radiographs, waveforms and records with predictions of them: what the builders of these kinds get."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    GeneralAudioWaveformStorage,
    MRImageStorage,
    TwelveLeadECGWaveformStorage,
)

from models.codes import GRADIENT_CLASS_ACTIVATION, NO_UNITS, PROBABILITY
from models.contracts import (
    Channel,
    Code,
    Contribution,
    Finding,
    FloatArray,
    InputKind,
    InputRequirements,
    Measurement,
    ModelCard,
    Prediction,
    Radiograph,
    RecordNeeds,
    ScalarMap,
    SegmentSpec,
    Trace,
    Waveform,
)
from tests.workers.synthetic import Phantom, common, meta, result_input
from workers.results.common import ResultInput

PNEUMONIA = Code("233604007", "SCT", "Pneumonia")
FIBRILLATION = Code("164889003", "SCT", "Electrocardiographic atrial fibrillation")
SEVERE = Code("DEATH-IN-HOSPITAL", "99OVERREAD", "Death in hospital")
LUNG = SegmentSpec(
    1,
    "Opacity",
    Code("49755003", "SCT", "Morphologically abnormal structure"),
    Code("128477000", "SCT", "Abscess"),
    Code("39607008", "SCT", "Lung"),
    rgb=(250, 120, 40),
)

ROWS, COLUMNS = 96, 80
#: Shape of the prediction that every input here replaces.
SHAPE = (6, 12, 10)
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
RATE = 250.0
THRESHOLD = 0.4


def card(kind: InputKind, modality: str, **changes: object) -> ModelCard:
    """Give the card of a model of a kind."""
    fields: dict[str, object] = {
        "name": f"{kind.value}-model",
        "version": "1.0.0",
        "title": f"Made-up {kind.value} model",
        "summary": "Made up for tests.",
        "requirements": InputRequirements((modality,), kind=kind),
        "outputs": (),
        "weights_sha256": "cd" * 32,
        "data": "none",
        "licence": "",
        "intended_use": "",
        "limits": ("Made up.",),
        "metrics": {"threshold": THRESHOLD},
    }
    return ModelCard(**{**fields, **changes})  # type: ignore[arg-type]


def answer(code: Code, label: str, probability: float, text: str) -> Finding:
    """Give a finding as models of these kinds give it: present above the threshold, absent below."""
    measured = Measurement(PROBABILITY, probability, NO_UNITS, probability * 0.8, min(1.0, probability * 1.1), 0.9)
    present = probability >= THRESHOLD
    return Finding(label, code, (measured,), confidence=probability, text=text, present=present)


def chest() -> FloatArray:
    """A grey thorax with two dark lungs, ``[row, column]`` from 0 to 1."""
    y, x = np.mgrid[0:ROWS, 0:COLUMNS].astype(np.float64)
    picture = np.full((ROWS, COLUMNS), 0.75)
    for middle in (24, 56):
        picture[((x - middle) / 12) ** 2 + ((y - 46) / 30) ** 2 < 1] = 0.2
    picture[60:64, 18:28] = 0.6
    made: FloatArray = picture.astype(np.float32)
    return made


def heat() -> FloatArray:
    """Importance around the opacity, ``[1, row, column]``."""
    y, x = np.mgrid[0:ROWS, 0:COLUMNS].astype(np.float64)
    made: FloatArray = np.exp(-(((x - 23) / 9) ** 2 + ((y - 62) / 9) ** 2))[None].astype(np.float32)
    return made


def radiograph_header() -> Dataset:
    """Computed Radiography Image without a frame of reference."""
    ds = common(Phantom(), ComputedRadiographyImageStorage, "1.2.826.0.1.3680043.10.2.1")
    del ds.FrameOfReferenceUID, ds.PositionReferenceIndicator
    ds.Modality, ds.SeriesDescription, ds.StudyDescription = "CR", "Thorax p.a.", "Thorax"
    ds.BodyPartExamined, ds.ViewPosition, ds.PatientOrientation, ds.Laterality = "CHEST", "PA", ["L", "F"], ""
    ds.InstanceNumber, ds.ImagerPixelSpacing = 1, [0.2, 0.2]
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.Rows, ds.Columns = ROWS, COLUMNS
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 0
    return ds


def radiograph_object() -> Dataset:
    """The same with pixels."""
    ds = radiograph_header()
    ds.PixelData = np.rint(chest() * 4095).astype("<u2").tobytes()
    ds.WindowCenter, ds.WindowWidth = 2048, 4096
    return ds


def radiograph_input(probability: float = 0.87, *, labels: bool = False, **changes: object) -> ResultInput:
    """Pneumonia on a radiograph, with a heat map."""
    verb = "is likely" if probability >= THRESHOLD else "was looked for and not found"
    finding = answer(PNEUMONIA, "pneumonia", probability, f"Pneumonia {verb} (probability {probability:.2f}).")
    drawn: npt.NDArray[np.uint8] | None = None
    if labels:
        drawn = np.zeros((1, ROWS, COLUMNS), np.uint8)
        drawn[0, 58:66, 16:30] = 1
        finding = replace(finding, segment=1)
    prediction = Prediction(
        (finding,),
        drawn,
        (LUNG,) if labels else (),
        ("The image is of an adult.",),
        (ScalarMap("grad-cam", "Where the network looked", GRADIENT_CLASS_ACTIVATION, NO_UNITS, heat()),),
        scores={"probability": probability, "out_of_scope": 0.2},
    )
    fields: dict[str, object] = {
        "prediction": prediction,
        "card": card(InputKind.RADIOGRAPH, "CR"),
        "seen": Radiograph(chest(), "CR", "PA", (0.2, 0.2)),
    }
    return result_input([radiograph_header()], SHAPE, **(fields | changes))


def beats(seconds: float = 10.0, rate: float = RATE, leads: int = len(LEADS)) -> FloatArray:
    """Spikes at uneven distances, millivolts, ``[channel, sample]``."""
    rng = np.random.default_rng(7)
    time = np.arange(round(seconds * rate)) / rate
    at = np.cumsum(rng.uniform(0.5, 1.1, 40))
    wave: npt.NDArray[np.float64] = sum(
        np.exp(-(((time - beat) / 0.02) ** 2)) - 0.2 * np.exp(-(((time - beat - 0.05) / 0.02) ** 2)) for beat in at
    )
    scale = np.linspace(0.4, 1.6, leads)[:, None]
    signal = scale * np.asarray(wave)[None] + 0.02 * rng.standard_normal((leads, time.size))
    made: FloatArray = signal.astype(np.float32)
    return made


def ecg_header() -> Dataset:
    """12-Lead ECG Waveform without its samples."""
    ds = common(Phantom(), TwelveLeadECGWaveformStorage, "1.2.826.0.1.3680043.10.3.1")
    for keyword in (
        "FrameOfReferenceUID",
        "PositionReferenceIndicator",
        "Rows",
        "Columns",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "ImageType",
    ):
        del ds[keyword]
    ds.Modality, ds.SeriesDescription, ds.StudyDescription, ds.InstanceNumber = "ECG", "12-lead ECG", "ECG", 1
    ds.ContentDate, ds.ContentTime, ds.AcquisitionDateTime = "20261120", "101600", "20261120101600"
    ds.Laterality = ""
    return ds


def ecg_object() -> Dataset:
    """The same with one multiplex group of twelve leads in microvolts."""
    ds, samples = ecg_header(), beats()
    group = Dataset()
    group.WaveformOriginality, group.SamplingFrequency = "ORIGINAL", RATE
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = samples.shape
    group.MultiplexGroupLabel = "RHYTHM"
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 16, "SS"
    group.ChannelDefinitionSequence = [_channel(name) for name in LEADS]
    group.WaveformData = np.rint(samples.T * 1000).astype("<i2").tobytes()
    ds.WaveformSequence = [group]
    return ds


#: CID 3001: codes of the leads, in the order of LEADS.
LEAD_CODES = ("1", "2", "61", "62", "63", "64", "3", "4", "5", "6", "7", "8")


def _channel(name: str) -> Dataset:
    item, source, unit = Dataset(), Dataset(), Dataset()
    source.CodeValue, source.CodingSchemeDesignator = f"2:{LEAD_CODES[LEADS.index(name)]}", "MDC"
    source.CodeMeaning = f"Lead {name}"
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "uV", "UCUM", "microvolt"
    item.ChannelLabel, item.ChannelSourceSequence, item.WaveformBitsStored = name, [source], 16
    item.ChannelSensitivity, item.ChannelSensitivityUnitsSequence = 1, [unit]
    item.ChannelSensitivityCorrectionFactor, item.ChannelBaseline, item.ChannelSampleSkew = 1, 0, 0
    return item


def importance(seconds: float = 10.0) -> FloatArray:
    """Importance over time: two stretches that matter."""
    time = np.arange(0, seconds, 0.1)
    values = np.exp(-(((time - 2.5) / 0.6) ** 2)) + 0.8 * np.exp(-(((time - 7.5) / 0.5) ** 2))
    made: FloatArray = values.astype(np.float32)
    return made


def waveform_input(probability: float = 0.93, **changes: object) -> ResultInput:
    """Atrial fibrillation in a 12-lead ECG, with a trace of importance."""
    verb = "is likely" if probability >= THRESHOLD else "was looked for and not found"
    finding = answer(FIBRILLATION, "atrial-fibrillation", probability, f"Atrial fibrillation {verb}.")
    rate = Measurement(Code("8867-4", "LN", "Heart rate"), 82.0, Code("/min", "UCUM", "beats per minute"))
    heart = Finding("heart-rate", Code("364075005", "SCT", "Heart rate"), (rate,))
    prediction = Prediction(
        (finding, heart),
        traces=(Trace("saliency", "Importance over time", None, 0.0, 0.1, importance()),),
        scores={"probability": probability, "out_of_scope": 0.1},
    )
    seen = Waveform(beats(), RATE, tuple(Channel(name, unit="mV") for name in LEADS), "ECG")
    fields: dict[str, object] = {"prediction": prediction, "card": card(InputKind.WAVEFORM, "ECG"), "seen": seen}
    return result_input([ecg_header()], SHAPE, **(fields | changes))


def sound_input(probability: float = 0.2, **changes: object) -> ResultInput:
    """A heart sound of one channel."""
    rng = np.random.default_rng(3)
    time = np.arange(2000 * 12) / 2000
    sound = np.sin(2 * np.pi * 60 * time) * (np.sin(2 * np.pi * 1.2 * time) > 0.8) + 0.05 * rng.standard_normal(
        time.size
    )
    header = ecg_header()
    header.SOPClassUID, header.Modality = GeneralAudioWaveformStorage, "AU"
    header.file_meta = meta(GeneralAudioWaveformStorage, header.SOPInstanceUID)
    finding = answer(Code("HEART-SOUND", "99OVERREAD", "Abnormal heart sound"), "abnormal", probability, "")
    trace = Trace("saliency", "Importance over time", None, 0.0, 0.1, importance(12.0))
    fields: dict[str, object] = {
        "prediction": Prediction((finding,), traces=(trace,), scores={"probability": probability}),
        "card": card(InputKind.WAVEFORM, "AU"),
        "seen": Waveform(sound[None].astype(np.float32), 2000.0, (Channel("PCG"),), "AU"),
    }
    return result_input([header], SHAPE, **(fields | changes))


CONTRIBUTIONS = (
    Contribution(Code("2524-7", "LN", "Lactate"), 0.92, 5.1, Code("mmol/L", "UCUM", "mmol/L"), "highest of 48 h"),
    Contribution(Code("9269-2", "LN", "Glasgow coma score total"), 0.61, 8.0, Code("{score}", "UCUM", "score")),
    Contribution(Code("2019-8", "LN", "Carbon dioxide, partial pressure in arterial blood"), 0.18),
    Contribution(Code("3094-0", "LN", "Urea nitrogen"), -0.12, 12.0, Code("mg/dL", "UCUM", "mg/dL")),
    Contribution(Code("30525-0", "LN", "Age"), -0.44, 41.0, Code("a", "UCUM", "years")),
)


def record_input(probability: float = 0.55, **changes: object) -> ResultInput:
    """Risk from the record, on a job of an MR series."""
    finding = answer(SEVERE, "death-in-hospital", probability, f"Risk of death in hospital {100 * probability:.0f} %.")
    header = common(Phantom(), MRImageStorage, "1.2.826.0.1.3680043.10.4.1")
    requirements = InputRequirements((), kind=InputKind.RECORD, record=RecordNeeds())
    fields: dict[str, object] = {
        "prediction": Prediction((finding,), contributions=CONTRIBUTIONS, scores={"probability": probability}),
        "card": card(InputKind.RECORD, "", requirements=requirements),
    }
    return result_input([header], SHAPE, **(fields | changes))


#: One input of each kind whose finding is present, and one whose finding is not.
INPUTS = {
    "radiograph": lambda: radiograph_input(),
    "radiograph, absent": lambda: radiograph_input(0.03),
    "radiograph, drawn": lambda: radiograph_input(labels=True),
    "ecg": lambda: waveform_input(),
    "ecg, absent": lambda: waveform_input(0.1),
    "sound, absent": lambda: sound_input(),
    "record": lambda: record_input(),
    "record, absent": lambda: record_input(0.05),
}
