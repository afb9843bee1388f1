"""The heart sound model's card: what is said of every training of it, and what one training measured."""

from __future__ import annotations

from typing import Any

from models.contracts import ModelCard
from models.signals.heart_sound.parts import REQUIREMENTS, RESULTS

NAME = "heart-sound"
VERSION = "1.0.0"

DATA = (
    "Phonocardiograms of the PhysioNet/CinC Challenge 2016, in a copy that was denoised and cut to 5 s (2000 Hz); one "
    "cut of each recording; {train} for training and selection in folds, {held_out} held out, no recording in both. "
    "Normal, or abnormal: recorded from patients with a confirmed heart disease. Six sub-databases (a to f) of other "
    "hospitals and devices. ODC-BY 1.0."
)
LICENCE = "CC BY 4.0; data under ODC-BY 1.0: cite the references"
INTENDED_USE = (
    "Research and integration tests: whether a heart sound resembles those of patients with heart disease. Not a "
    "medical device; not for diagnosis or for decisions on treatment."
)
LIMITS = (
    "The sub-database tells much of the label (a is mostly abnormal, e mostly normal), so figures over all of them are "
    "better than what the model hears: within a sub-database, and on one that it was not trained on, it is much worse "
    "(see by_database and leave_one_database_out in the metrics).",
    "Says nothing of which disease: the training set's 'abnormal' mixes diseases of valves, vessels and muscle.",
    "Recordings of one patient may be in both parts: the set does not name its patients.",
    "The training recordings had been denoised by others before; the model's own was not measured on raw ones.",
    "The range of the probability is that of three networks; it is no confidence interval.",
)
REFERENCES = (
    "Liu C et al. An open access database for the evaluation of heart sound algorithms. Physiol Meas 2016;37:2181-2213",
    "Goldberger AL et al. PhysioBank, PhysioToolkit, and PhysioNet. Circulation 2000;101:e215-e220",
    "Schmidt SE et al. Segmentation of heart sound recordings by a duration-dependent hidden Markov model. Physiol "
    "Meas 2010;31:513-529",
)
LICENCE_TEXT = """\
Weights of the heart-sound model (model.safetensors), trained by the Overread project.

Licence: Creative Commons Attribution 4.0 International (CC BY 4.0), https://creativecommons.org/licenses/by/4.0/legalcode
The rest of the project is under the Apache License 2.0.

Data: phonocardiograms of the PhysioNet/Computing in Cardiology Challenge 2016, ODC Attribution License 1.0.
  Liu C et al. An open access database for the evaluation of heart sound algorithms. Physiol Meas 2016;37:2181.
  Goldberger AL et al. PhysioBank, PhysioToolkit, and PhysioNet. Circulation 2000;101:e215-e220.
"""


def make_card(sizes: dict[str, int], metrics: dict[str, Any]) -> ModelCard:
    """Make the card of one training; the digest of the weights is filled in where they are written.

    Parameters
    ----------
    sizes
        ``train`` and ``held_out``: numbers of recordings.
    metrics
        With ``operating`` and ``scope``, which the model needs, and the reports.
    """
    return ModelCard(
        name=NAME,
        version=VERSION,
        title="Heart sound: normal or not",
        summary="Band-pass, removal of spikes, log-mel spectrogram, convolutions, a bidirectional GRU and attention "
        "over time; three networks give a calibrated probability that the sound is abnormal.",
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
