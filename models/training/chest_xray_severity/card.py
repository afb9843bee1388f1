"""The severity model's card: what is said of every training of it, and what one training measured."""

from __future__ import annotations

from typing import Any

from models.codes import NO_UNITS
from models.contracts import ModelCard, ResultSpec
from models.imaging.chest_xray.severity import UNPROVEN
from models.imaging.chest_xray.terms import SEVERE_COURSE, SEVERITY_REQUIREMENTS

NAME = "chest-xray-severity"
VERSION = "1.0.0"

DATA = (
    "COVID-19 Image Repository (Hannover Medical School), a part of it: {cases} chest radiographs of {patients} "
    "patients with COVID-19 who had not been in intensive care before the day of the picture; {train} pictures for "
    "training, {held_out} held out, by patient. Severe: admitted to intensive care, or died, on the day of the picture "
    "or later ({severe} pictures). The features are those of the networks of chest-xray-pneumonia, which were trained "
    "on PneumoniaMNIST (CC BY 4.0). Licence of the data: CC BY 3.0, https://creativecommons.org/licenses/by/3.0/; cite "
    "the first three references."
)
LICENCE = "CC BY 4.0; data CC BY 3.0 and CC BY 4.0"
INTENDED_USE = (
    "Research and integration tests: how a model of images and laboratory values comes together. For patients known to "
    "have COVID-19 only: the site's rule must see to it. Not a medical device; not for diagnosis, prognosis or "
    "decisions on treatment."
)
LIMITS = (
    "A few dozen patients of one hospital in the spring of 2020: every figure is uncertain by a large part of its "
    "range, and treatment, vaccination and the virus have changed since.",
    "Every patient of the training had COVID-19 and came to a hospital with it; the model cannot tell whether a "
    "patient has it, and its answer means nothing for others. No rule that ships uses this model.",
    "Most severe cases were admitted to intensive care on the day of the picture, perhaps before it was taken. Such "
    "pictures are taken lying, from anterior to posterior, and may show tubes and lines: much of what the image's head "
    "knows may be where the patient lay. The view alone tells as much; see view_alone, by_view and "
    "later_than_the_day in the metrics.",
    "Laboratory values beyond what the laboratory can measure count as missing; a missing value says nothing. Factor "
    "XIII and blood gases are not used, since who had them measured, and how, tells who was in intensive care.",
    "Features of networks that were trained on children and see 28 x 28 pixels.",
    "Ages are not published with the data: nothing is known of other ages.",
    "The interval is of the heads fitted anew on resampled patients; it leaves out what the networks do not know.",
)
REFERENCES = (
    "Winther HB et al. COVID-19 Image Repository. 2020. doi:10.6084/m9.figshare.12275009, doi:10.25835/0090041",
    "Yang J et al. MedMNIST v2. Sci Data 2023;10:41. doi:10.1038/s41597-022-01721-8",
    "Kermany DS et al. Identifying medical diagnoses and treatable diseases by image-based deep learning. Cell "
    "2018;172:1122-1131. doi:10.1016/j.cell.2018.02.010",
    "Selvaraju RR et al. Grad-CAM. Int J Comput Vis 2020;128:336-359",
)
LICENCE_TEXT = """\
Weights of the chest-xray-severity model (model.safetensors), trained by the Overread project.

Licence: Creative Commons Attribution 4.0 International (CC BY 4.0),
https://creativecommons.org/licenses/by/4.0/legalcode.
The rest of the project is under the Apache License 2.0.

Data: COVID-19 Image Repository, CC BY 3.0 Unported, https://creativecommons.org/licenses/by/3.0/legalcode.
  Winther HB, Laser H, Gerbel S, Maschke SK, Hinrichs JB, Vogel-Claussen J, Wacker FK, Hoeper MM, Meyer BC.
  COVID-19 Image Repository. 2020. doi:10.6084/m9.figshare.12275009, doi:10.25835/0090041.
PneumoniaMNIST, CC BY 4.0, changed by the project (copies left out).
  Yang J et al. MedMNIST v2. Sci Data 2023;10:41.
  Kermany DS et al. Cell 2018;172:1122-1131.
"""


def make_card(sizes: dict[str, int], metrics: dict[str, Any]) -> ModelCard:
    """Make the card of one training; its digest of the weights is filled in when these are written.

    Parameters
    ----------
    sizes
        ``cases``, ``patients``, ``train``, ``held_out`` and ``severe``: numbers for what is said of the data.
    metrics
        With ``threshold``, ``scope_limits``, ``patients`` and ``proven``, which the model needs, and the reports.
    """
    return ModelCard(
        name=NAME,
        version=VERSION,
        title="Severe course of COVID-19 from a chest radiograph and laboratory values",
        summary="Late fusion of features of a chest radiograph and five laboratory values: how probable intensive care "
        "or death is for a patient with COVID-19, with an interval, the contribution of each value, and where the "
        "image's head looked. " + ("" if metrics["proven"] else UNPROVEN),
        requirements=SEVERITY_REQUIREMENTS,
        outputs=(),
        weights_sha256="",
        data=DATA.format(**sizes),
        licence=LICENCE,
        intended_use=INTENDED_USE,
        limits=LIMITS,
        metrics=metrics,
        references=REFERENCES,
        results=(ResultSpec("severe-course", SEVERE_COURSE, NO_UNITS),),
    )
