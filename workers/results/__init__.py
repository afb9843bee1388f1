"""Result objects: pure builders from a prediction and its sources to what the hospital gets.

A builder is one file here and one line in :data:`BUILDERS`, and which of them a kind of source has is one line in
:data:`KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from pydicom.dataset import Dataset

from models.contracts import InputKind
from workers.results.common import Predecessor, ResultInput
from workers.results.gsps import build_gsps
from workers.results.kos import build_kos
from workers.results.pdf.document import build_pdf
from workers.results.pm import build_pms
from workers.results.profile import DEFAULT, Profile
from workers.results.sc import build_scs
from workers.results.seg.flat import build_flat_segs
from workers.results.seg.volume import build_segs
from workers.results.sr import build_sr

Built = Mapping[str, Sequence[Dataset]]
"""What was built before, by kind."""

Builder = Callable[[ResultInput, Profile, Built], Sequence[Dataset]]
"""Gives the objects of its kind: none where the prediction has nothing for them."""


def _segs(inp: ResultInput, profile: Profile, _built: Built) -> Sequence[Dataset]:
    drawn = inp.prediction.labels is not None and inp.prediction.segments
    build = build_flat_segs if inp.kind is InputKind.RADIOGRAPH else build_segs
    return build(inp, profile) if drawn else ()


def _sr(inp: ResultInput, profile: Profile, built: Built) -> Sequence[Dataset]:
    return (build_sr(inp, built.get("seg", ()), profile),)


#: Builders by kind, in the order in which they run: each sees what was built before it.
BUILDERS: Mapping[str, Builder] = {
    "seg": _segs,
    "pm": build_pms,
    "sr": _sr,
    "kos": build_kos,
    "gsps": build_gsps,
    "sc": build_scs,
    "pdf": build_pdf,
}

#: Which results a source can have. What lies in no frame of reference has no parametric map, whose frames PS3.3
#: table A.75-2 places in one, and no presentation state of ours; a radiograph is one image, so that there is nothing to
#: select; a waveform and the record have no pixels.
KINDS: Mapping[InputKind, frozenset[str]] = {
    InputKind.VOLUME: frozenset(BUILDERS),
    InputKind.RADIOGRAPH: frozenset({"seg", "sr", "sc", "pdf"}),
    InputKind.WAVEFORM: frozenset({"sr", "sc", "pdf"}),
    InputKind.RECORD: frozenset({"sr", "sc", "pdf"}),
}

#: Kinds that come in several profiles, and kinds that tell of notes and order besides the images.
PROFILED = frozenset({"seg", "sr"})
DOCUMENTS = frozenset({"sr", "pdf"})


def build_all(
    inp: ResultInput,
    profile: Profile = DEFAULT,
    kinds: Collection[str] = ("seg", "sr"),
    predecessors: Mapping[str, Predecessor] | None = None,
) -> dict[str, Sequence[Dataset]]:
    """Build the DICOM results of a prediction in one profile, by kind; a kind with nothing to show is left out.

    Parameters
    ----------
    predecessors
        By kind, the document of this profile that the new one supersedes; where it is not given, the report's is
        that of ``inp``.
    """
    before = {"sr": inp.predecessor} if predecessors is None else predecessors
    built: dict[str, Sequence[Dataset]] = {}
    possible = KINDS[inp.kind].intersection(kinds)
    for kind, builder in BUILDERS.items():
        if kind in possible and (objects := builder(replace(inp, predecessor=before.get(kind)), profile, built)):
            built[kind] = objects
    return built
