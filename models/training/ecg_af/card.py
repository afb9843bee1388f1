"""The rhythm model's card: what is said of every training of it, and what one training measured."""

from __future__ import annotations

from typing import Any

from models.contracts import ModelCard
from models.signals.ecg.parts import REQUIREMENTS, RESULTS

NAME = "ecg-af"
VERSION = "1.1.0"

DATA = (
    "Single leads: {single} records of the training set of the PhysioNet/CinC Challenge 2017 (AliveCor, 300 Hz, 9 to "
    "61 s; normal, atrial fibrillation, other rhythm, noise), of which {single_held_out} held out; ODC-BY 1.0. Twelve "
    "leads: {twelve} records of PTB-XL (10 s; atrial fibrillation or not), of which {twelve_held_out} of the folds 9 "
    "and 10 held out; CC BY 4.0. The first set does not name its patients."
)
LICENCE = "CC BY 4.0; data under ODC-BY 1.0 and CC BY 4.0: cite the references"
INTENDED_USE = (
    "Research and integration tests: whether an electrocardiogram shows atrial fibrillation, and the ventricular rate. "
    "Not a medical device; not for diagnosis or for decisions on treatment."
)
LIMITS = (
    "Trained on about a thousand short records of one device and 153 twelve-lead records of one hospital group; the "
    "held-out parts are small, and their intervals wide.",
    "Atrial flutter, paced rhythms and other arrhythmias are not told from each other: neither training set has them "
    "as classes of their own, and flutter may be called fibrillation or not.",
    "The single-lead set does not name its patients: a patient may be both in the training and in the held-out part.",
    "The range of the probability is that of three networks; it is no confidence interval.",
    "The importance over time is that of the networks; the trees beside them, which read numbers of a whole strip, are "
    "held.",
    "Long records are read by one lead in windows of 30 s; only records without fibrillation were at hand to check it.",
    "Exchanged electrodes are warned of only where the arms are exchanged and V6 is recorded.",
)
REFERENCES = (
    "Clifford GD et al. AF classification from a short single lead ECG recording: the PhysioNet/Computing in "
    "Cardiology Challenge 2017. Computing in Cardiology 2017",
    "Wagner P et al. PTB-XL, a large publicly available electrocardiography dataset. Sci Data 2020;7:154",
    "Goldberger AL et al. PhysioBank, PhysioToolkit, and PhysioNet. Circulation 2000;101:e215-e220",
    "Zabihi M et al. Detection of atrial fibrillation in ECG hand-held devices using a random forest classifier. "
    "Computing in Cardiology 2017",
    "Pan J, Tompkins WJ. A real-time QRS detection algorithm. IEEE Trans Biomed Eng 1985;32:230-236",
)
LICENCE_TEXT = """\
Weights of the ecg-af model (model.safetensors), trained by the Overread project.

Licence: Creative Commons Attribution 4.0 International (CC BY 4.0), https://creativecommons.org/licenses/by/4.0/legalcode
The rest of the project is under the Apache License 2.0.

Data: training set of the PhysioNet/Computing in Cardiology Challenge 2017, Open Data Commons Attribution License 1.0.
  Clifford GD et al. AF classification from a short single lead ECG recording. Computing in Cardiology 2017.
  Goldberger AL et al. PhysioBank, PhysioToolkit, and PhysioNet. Circulation 2000;101:e215-e220.
Data: PTB-XL (a part of it), Creative Commons Attribution 4.0 International.
  Wagner P et al. PTB-XL, a large publicly available electrocardiography dataset. Sci Data 2020;7:154.
"""


def make_card(sizes: dict[str, int], metrics: dict[str, Any]) -> ModelCard:
    """Make the card of one training; the digest of the weights is filled in where they are written.

    Parameters
    ----------
    sizes
        ``single``, ``single_held_out``, ``twelve``, ``twelve_held_out``: numbers of records.
    metrics
        With ``operating``, ``scope`` and ``noise_threshold``, which the model needs, and the reports.
    """
    return ModelCard(
        name=NAME,
        version=VERSION,
        title="Atrial fibrillation in the electrocardiogram",
        summary="Convolutions, a bidirectional GRU and attention over time read twelve leads or one, beside numbers of "
        "the intervals between beats; for one lead, trees on more numbers of the beats join each network; three of "
        "each kind give a calibrated probability.",
        requirements=REQUIREMENTS,
        outputs=(),
        weights_sha256="",
        data=DATA.format(**sizes),
        licence=LICENCE,
        intended_use=INTENDED_USE,
        limits=LIMITS,
        metrics=metrics,
        references=REFERENCES,
        results=RESULTS,
    )
