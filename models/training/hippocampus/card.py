"""The hippocampus model's card: what is said of every training of it, and what one training measured."""

from __future__ import annotations

from typing import Any

from models.contracts import ModelCard
from models.imaging.hippocampus_parts import REQUIREMENTS, SEGMENTS

NAME = "hippocampus"
VERSION = "1.0.0"

DATA = (
    "Medical Segmentation Decathlon, task 4 (hippocampus), Vanderbilt University Medical Center: T1-weighted MPRAGE "
    "of the head, cropped to one hippocampus and at 1 mm, of healthy adults and adults with a non-affective psychotic "
    "disorder; {total} labelled cases, of which {train} for training, {validation} for selection and calibration and "
    "{held_out} held out. Both hippocampi of a patient are kept in the same part, as far as the case numbers tell. "
    "Licence of the data: CC BY-SA 4.0, https://creativecommons.org/licenses/by-sa/4.0/; cite the first two references."
)
LICENCE = "CC BY-SA 4.0 (share-alike), as the data"
INTENDED_USE = (
    "Research and integration tests: volume of the anterior and posterior part of one hippocampus in a T1-weighted MR "
    "crop. Not a medical device; not for diagnosis or for decisions on treatment."
)
LIMITS = (
    "Trained at one hospital, on T1-weighted images at 1 mm of adults without known lesions of the temporal lobe; not "
    "evaluated on other sequences, children, tumours, resections or strong atrophy.",
    "Needs a crop around one hippocampus: it neither finds the hippocampus in a whole brain nor says that there is "
    "none in the crop, and may draw a structure that looks alike.",
    "The border between anterior and posterior part follows the protocol of the training labels and is a convention.",
    "Does not tell left from right by shape: the side is given only by an attribute or by scanner positions.",
    "The interval aims at 95 % and is calibrated on few cases of the same hospital; how many held-out cases it held is "
    "in the metrics (interval_coverage). It promises nothing for other scanners, nor for change over time.",
    "The data set does not name its patients: that cases 2k - 1 and 2k are one patient is inferred from the images.",
)
REFERENCES = (
    "Antonelli M et al. The Medical Segmentation Decathlon. Nat Commun 2022;13:4128. doi:10.1038/s41467-022-30695-9",
    "Simpson AL et al. A large annotated medical image dataset for the development and evaluation of segmentation "
    "algorithms. arXiv:1902.09063",
    "Isensee F et al. nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation. "
    "Nat Methods 2021;18:203-211",
    "Lei J et al. Distribution-free predictive inference for regression. J Am Stat Assoc 2018;113:1094-1111",
)
LICENCE_TEXT = """\
Weights of the hippocampus model (model.safetensors), trained by the Overread project.

Licence: Creative Commons Attribution-ShareAlike 4.0 International (CC BY-SA 4.0),
https://creativecommons.org/licenses/by-sa/4.0/legalcode - the licence of the data that they were trained on.
The rest of the project is under the Apache License 2.0.

Data: Medical Segmentation Decathlon, task 4 (hippocampus), Vanderbilt University Medical Center.
  Antonelli M et al. The Medical Segmentation Decathlon. Nat Commun 2022;13:4128.
  Simpson AL et al. A large annotated medical image dataset for the development and evaluation of segmentation
  algorithms. arXiv:1902.09063.
"""


def make_card(sizes: dict[str, int], metrics: dict[str, Any]) -> ModelCard:
    """Make the card of one training; the digest of the weights is filled in where they are written.

    Parameters
    ----------
    sizes
        Number of cases of each part: ``train``, ``validation``, ``held_out``.
    metrics
        With ``interval_factor`` by part, which the model needs, and the reports.
    """
    return ModelCard(
        name=NAME,
        version=VERSION,
        title="Hippocampus segmentation, anterior and posterior part",
        summary="3-D U-Net that draws the anterior and the posterior part of one hippocampus in a T1-weighted MR crop, "
        "and gives the volume of each and of both with a 95 % interval.",
        requirements=REQUIREMENTS,
        outputs=SEGMENTS,
        weights_sha256="",
        data=DATA.format(total=sum(sizes.values()), **sizes),
        licence=LICENCE,
        intended_use=INTENDED_USE,
        limits=LIMITS,
        metrics=metrics,
        references=REFERENCES,
    )
