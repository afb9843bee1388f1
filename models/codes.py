"""Codes that several models use; those of one model stand beside it.

Codes of PS3.16 are named as there. What no scheme has is of ``99OVERREAD``, a private coding scheme (PS3.16 section 8).
"""

from __future__ import annotations

from models.contracts import Code

#: Coding scheme of our own concepts.
OWN_SCHEME = "99OVERREAD"

#: Units in UCUM (PS3.16 CID 82 and the like).
NO_UNITS = Code("1", "UCUM", "no units")
MILLIMETRE = Code("mm", "UCUM", "millimeter")
MILLILITRE = Code("ml", "UCUM", "milliliter")

#: CID 6048 and CID 7180: what the numbers of findings and maps are.
PROBABILITY = Code("122157", "DCM", "Probability")
CLASS_ACTIVATION = Code("130402", "DCM", "Class activation")
GRADIENT_CLASS_ACTIVATION = Code("130403", "DCM", "Gradient-weighted class activation")
SALIENCY = Code("130404", "DCM", "Saliency")

#: Measurements of lesions; models/fusion/scores reads them by these codes.
VOLUME = Code("118565006", "SCT", "Volume")
LONG_AXIS = Code("103339001", "SCT", "Long axis")
SHORT_AXIS = Code("103340004", "SCT", "Short axis")
