"""The pneumonia model's card: what is said of every training of it, and what one training measured."""

from __future__ import annotations

from typing import Any

from models.codes import NO_UNITS
from models.contracts import ModelCard, ResultSpec
from models.imaging.chest_xray.terms import PNEUMONIA, PNEUMONIA_REQUIREMENTS

NAME = "chest-xray-pneumonia"
VERSION = "1.0.0"

DATA = (
    "PneumoniaMNIST (MedMNIST v2), a class-balanced sub-sample: frontal chest radiographs of children of 1 to 5 years "
    "of one hospital (Guangzhou Women and Children's Medical Center), reduced to 28 x 28 pixels; {train} pictures for "
    "training, {validation} for selection and calibration, and the set's own validation part, {held_out}, held out. "
    "Copies were left out. The set names no patients: pictures of one child may be in two parts. {others}Licence of "
    "the data: CC BY 4.0, https://creativecommons.org/licenses/by/4.0/; cite the first two references."
)
OTHERS = (
    "The trunk also learned to tell how pictures are turned from {adults} radiographs of the COVID-19 Image Repository "
    "of Hannover (CC BY 3.0, cite the third reference), without their labels. "
)
LICENCE = "CC BY 4.0, as the data"
INTENDED_USE = (
    "Research and integration tests: probability of pneumonia in a frontal chest radiograph of a child of 1 to 5 "
    "years. Not a medical device; not for diagnosis or for decisions on treatment."
)
LIMITS = (
    "Trained on children of 1 to 5 years of one hospital, taken anterior to posterior; not evaluated on others. It "
    "declines adults where the record tells the age, and warns where it does not.",
    "Sees 28 x 28 pixels: small or faint consolidations, and everything that is not a matter of large areas, are "
    "beyond it.",
    "Half of the pictures that it was trained and calibrated on show pneumonia: where fewer patients have it, the "
    "stated probability is too high, and most positive answers may be wrong.",
    "The labels are what physicians read in the pictures (Kermany 2018); bacterial and viral pneumonia are one class, "
    "and other diseases of the lung are in neither class.",
    "The held-out figures are of pictures of the same hospital, and perhaps of the same children, as the training: on "
    "others they will be lower.",
    "The range is that of five networks trained on the same pictures; it does not hold the true value with any stated "
    "probability.",
    "The scope was tried on turned, inverted and generated pictures and on a few other kinds of images, not on real "
    "lateral chest radiographs.",
)
REFERENCES = (
    "Yang J et al. MedMNIST v2. Sci Data 2023;10:41. doi:10.1038/s41597-022-01721-8",
    "Kermany DS et al. Identifying medical diagnoses and treatable diseases by image-based deep learning. Cell "
    "2018;172:1122-1131. doi:10.1016/j.cell.2018.02.010",
    "Winther HB et al. COVID-19 Image Repository. 2020. doi:10.25835/0090041",
    "Hu J et al. Squeeze-and-excitation networks. CVPR 2018. arXiv:1709.01507",
    "Gidaris S et al. Unsupervised representation learning by predicting image rotations. ICLR 2018. arXiv:1803.07728",
    "Selvaraju RR et al. Grad-CAM. Int J Comput Vis 2020;128:336-359",
    "Lakshminarayanan B et al. Simple and scalable predictive uncertainty estimation using deep ensembles. NeurIPS "
    "2017",
    "Lee K et al. A simple unified framework for detecting out-of-distribution samples. NeurIPS 2018",
    "Platt J. Probabilistic outputs for support vector machines. Advances in large margin classifiers, 1999",
)
LICENCE_TEXT = """\
Weights of the chest-xray-pneumonia model (model.safetensors), trained by the Overread project.

Licence: Creative Commons Attribution 4.0 International (CC BY 4.0),
https://creativecommons.org/licenses/by/4.0/legalcode - the licence of the data that they were trained on.
The rest of the project is under the Apache License 2.0.

Data: PneumoniaMNIST, changed by the project (copies left out).
  Yang J et al. MedMNIST v2. Sci Data 2023;10:41.
  Kermany DS et al. Cell 2018;172:1122-1131.
Pictures, without labels, of the COVID-19 Image Repository (CC BY 3.0).
  Winther HB et al. COVID-19 Image Repository. 2020. doi:10.25835/0090041.
"""


def make_card(sizes: dict[str, int], adults: int, metrics: dict[str, Any]) -> ModelCard:
    """Make the card of one training; its digest of the weights is filled in when these are written.

    Parameters
    ----------
    sizes
        Number of pictures of each part: ``train``, ``validation``, ``held_out``.
    adults
        Radiographs of Hannover that the trunk saw.
    metrics
        With ``calibration``, ``threshold`` and ``scope_limits``, which the model needs, and the reports.
    """
    others = OTHERS.format(adults=adults) if adults else ""
    return ModelCard(
        name=NAME,
        version=VERSION,
        title="Pneumonia in chest radiographs of young children",
        summary="Five small convolutional networks with attention give the calibrated probability of pneumonia in a "
        "frontal chest radiograph of a child, and show where they looked (Grad-CAM); a sixth declines what does not "
        "look like the training pictures.",
        requirements=PNEUMONIA_REQUIREMENTS,
        outputs=(),
        weights_sha256="",
        data=DATA.format(others=others, **sizes),
        licence=LICENCE,
        intended_use=INTENDED_USE,
        limits=LIMITS,
        metrics=metrics,
        references=REFERENCES,
        results=(ResultSpec("pneumonia", PNEUMONIA, NO_UNITS),),
    )
