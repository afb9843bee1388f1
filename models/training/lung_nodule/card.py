"""The lung nodule model's card: what is said of every training of it, and what one training measured."""

from __future__ import annotations

from typing import Any

from models.contracts import ModelCard
from models.imaging.lung.terms import NAME, REQUIREMENTS, RESULTS, SEGMENTS

VERSION = "1.0.0"

DATA = (
    "No labelled nodules of patients. Lesions of known size (solid, part-solid, ground glass; smooth and spiculated) "
    "were inserted into generated thoraces ({train} for training, {validation} for selection and calibration, "
    "{held_out} held out, no seed in two parts) and into one real chest CT of 5 mm slices, patient A0001 of the TCIA "
    "collection Lung-PET-CT-Dx (CC BY 4.0): its right lung for training, its left one, with the tumour's boxes, held "
    "out."
)
LICENCE = "CC BY 4.0; data of Lung-PET-CT-Dx under CC BY 4.0: cite the references"
INTENDED_USE = (
    "Research and integration tests: place, size, volume and type of nodules in a chest CT. Not a medical device; not "
    "for diagnosis, screening or decisions on treatment."
)
LIMITS = (
    "Never measured on nodules of patients, but one tumour: figures are of inserted lesions, and most scans are "
    "generated, which are simpler than any patient. Expect less in practice, and more false positives.",
    "Real background is that of one patient, one scanner, one kernel, 5 mm slices.",
    "Not made for contrast-filled vessels at the hilum, emphysema, fibrosis, consolidation, effusion or lungs after "
    "resection. Two air-filled lungs must be in the field of view.",
    "Masses over 30 mm, and what is fused with mediastinum or chest wall, are drawn too small or missed: the one real "
    "tumour at hand, of 6 cm and fused with the mediastinum, is missed.",
    "About half of the inserted lesions of 6 to 10 mm are found (fewer on the real background), and fewer still of "
    "ground glass and under 6 mm: that nothing was found says little.",
    "Tells no lobe (fissures are not found) and no margin (spiculation): scores that need them say that they lack "
    "them.",
    "Intervals of sizes aim at 90 %, calibrated on generated scans; they promise nothing for change over time.",
    "A nodule's name is its place in tenths of the lung's box: a breath of another depth may change it.",
)
REFERENCES = (
    "Li P et al. A Large-Scale CT and PET/CT Dataset for Lung Cancer Diagnosis (Lung-PET-CT-Dx). The Cancer Imaging "
    "Archive, 2020. doi:10.7937/TCIA.2020.NNC2-0461",
    "Clark K et al. The Cancer Imaging Archive (TCIA). J Digit Imaging 2013;26:1045-1057",
    "Li Q, Sone S, Doi K. Selective enhancement filters for nodules, vessels, and airway walls. Med Phys "
    "2003;30:2040-2051",
    "Kostis WJ et al. Three-dimensional segmentation and growth-rate estimation of small pulmonary nodules in helical "
    "CT images. IEEE Trans Med Imaging 2003;22:1259-1274",
    "Eisenhauer EA et al. New response evaluation criteria in solid tumours (RECIST 1.1). Eur J Cancer 2009;45:228-247",
    "Setio AAA et al. LUNA16. Med Image Anal 2017;42:1-13",
)
LICENCE_TEXT = """\
Weights of the lung-nodule model (model.safetensors), trained by the Overread project.

Licence: Creative Commons Attribution 4.0 International (CC BY 4.0), https://creativecommons.org/licenses/by/4.0/legalcode
The rest of the project is under the Apache License 2.0.

Data: generated thoraces, and one CT series of Lung-PET-CT-Dx (The Cancer Imaging Archive), CC BY 4.0.
  Li P, Wang S, Li T, Lu J, HuangFu Y, Wang D. doi:10.7937/TCIA.2020.NNC2-0461
  Clark K et al. J Digit Imaging 2013;26:1045-1057.
"""


def make_card(sizes: dict[str, int], metrics: dict[str, Any]) -> ModelCard:
    """Make the card of one training; the digest of the weights is filled in where they are written.

    Parameters
    ----------
    sizes
        Generated scans of each part: ``train``, ``validation``, ``held_out``.
    metrics
        With ``calibration``, ``operating_threshold`` and ``interval_factor``, which the model needs, and the reports.
    """
    return ModelCard(
        name=NAME,
        version=VERSION,
        title="Lung nodules: found, measured and typed",
        summary="Lungs by threshold and closing, candidates by curvature at five scales, a small 3-D network that "
        "tells nodules from vessels, and a drawing of each with long and short axis, volume, density and type.",
        requirements=REQUIREMENTS,
        outputs=SEGMENTS,
        weights_sha256="",
        data=DATA.format(**sizes),
        licence=LICENCE,
        intended_use=INTENDED_USE,
        limits=LIMITS,
        metrics=metrics,
        references=REFERENCES,
        results=RESULTS,
    )
