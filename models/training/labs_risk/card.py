"""The card of labs-risk: what is said of every training of it, and what one training measured."""

from __future__ import annotations

from typing import Any

from models.codes import NO_UNITS
from models.contracts import ModelCard, ResultSpec
from models.labs.terms import DEATH_RISK, LABEL, REQUIREMENTS

NAME = "labs-risk"
VERSION = "1.0.0"
DATA = (
    "PhysioNet/Computing in Cardiology Challenge 2012, set A: stays of adults in intensive care at one hospital (Beth "
    "Israel Deaconess Medical Center, Boston, MIMIC II), first 48 hours; {total} of its 4000 stays, of which {train} "
    "for training in five folds and {held_out} held out. Licence of the data: Open Data Commons Attribution 1.0 "
    "(ODC-BY), https://opendatacommons.org/licenses/by/1-0/; cite the first two references."
)
LICENCE = "ODC-BY 1.0, as the data"
INTENDED_USE = (
    "Research and integration tests: order a worklist by how ill the record says that a patient is. Not a medical "
    "device; not for decisions on treatment, triage of people, or limits of care."
)
LIMITS = (
    "Trained on intensive care of one hospital, two decades ago; the probability is calibrated for such patients, of "
    "whom one in seven died, and is too high for a ward.",
    "Which values are measured says how ill staff think a patient is; another hospital measures differently.",
    "The end of its 48 hours is the moment of the study here, and two days after admission in the training set.",
    "The interval says what another choice of training patients could have answered, and nothing of other hospitals.",
    "Contributions are changes of the answer, not causes: treatment and disease cannot be told apart.",
    "Pressures by cuff and by catheter are one variable; high-sensitivity troponin and pulse oximetry are not read.",
    "The data set names no patients: whether two stays of one person are in different parts cannot be told.",
)
REFERENCES = (
    "Silva I et al. Predicting in-hospital mortality of ICU patients: the PhysioNet/Computing in Cardiology Challenge "
    "2012. Comput Cardiol 2012;39:245-248",
    "Goldberger AL et al. PhysioBank, PhysioToolkit, and PhysioNet. Circulation 2000;101:e215-e220",
    "Che Z et al. Recurrent neural networks for multivariate time series with missing values. Sci Rep 2018;8:6085",
    "Kott PS. The delete-a-group jackknife. J Off Stat 2001;17:521-526",
)
WEIGHTS_LICENCE = """Weights of the labs-risk model (model.safetensors), trained by the Overread project.

Licence: Open Data Commons Attribution License 1.0 (ODC-BY 1.0),
https://opendatacommons.org/licenses/by/1-0/ - the licence of the data that they were trained on.
The rest of the project is under the Apache License 2.0.

Contains information from the PhysioNet/Computing in Cardiology Challenge 2012, set A, which is made available under the
ODC Attribution License.
  Silva I et al. Predicting in-hospital mortality of ICU patients: the PhysioNet/Computing in Cardiology Challenge 2012.
  Comput Cardiol 2012;39:245-248.
  Goldberger AL et al. PhysioBank, PhysioToolkit, and PhysioNet. Circulation 2000;101:e215-e220.
"""


def make_card(sizes: dict[str, int], metrics: dict[str, Any]) -> ModelCard:
    """Make the card of one training, without the digest of the weights.

    Parameters
    ----------
    sizes
        Number of stays of each part: ``train``, ``held_out``.
    metrics
        With what :class:`models.labs.risk.RiskModel` needs, and the reports.
    """
    return ModelCard(
        name=NAME,
        version=VERSION,
        title="Risk of death in hospital from laboratory values and vital signs",
        summary="Auto-encoder of gappy time series with a recurrent classifier, and a linear part on summaries, five "
        "of each: the probability of death in the stay from 48 hours of values, with an interval and its reasons.",
        requirements=REQUIREMENTS,
        outputs=(),
        weights_sha256="",
        data=DATA.format(total=sizes["train"] + sizes["held_out"], **sizes),
        licence=LICENCE,
        intended_use=INTENDED_USE,
        limits=LIMITS,
        metrics=metrics,
        references=REFERENCES,
        results=(ResultSpec(LABEL, DEATH_RISK, NO_UNITS),),
    )
