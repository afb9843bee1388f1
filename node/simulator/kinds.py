"""The kinds of study that the simulator makes, by name. A new kind is one function and one line in :data:`KINDS`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from node.errors import InputError
from node.simulator import radiographs, studies, waveforms
from node.simulator.ris import Person
from node.simulator.studies import GeneratedStudy


@dataclass(frozen=True, slots=True)
class Wish:
    """What a study should be like; the same wish gives the same bytes.

    Parameters
    ----------
    seed
        Chooses anatomy, rhythm, noise.
    finding
        Whether it shows what the model for its kind looks for: an opacity, atrial fibrillation, a murmur.
    side
        ``"right"`` or ``"left"``, for organs of which there are two.
    """

    seed: int
    person: Person
    accession_number: str
    at: dt.datetime
    finding: bool = False
    side: str = "right"


Maker = Callable[[Wish], GeneratedStudy]


def _brain(wish: Wish) -> GeneratedStudy:
    return studies.generate(
        wish.seed, person=wish.person, accession_number=wish.accession_number, side=wish.side, at=wish.at
    )


def _chest(form: radiographs.Form) -> Maker:
    def make(wish: Wish) -> GeneratedStudy:
        return radiographs.study(
            form,
            wish.seed,
            person=wish.person,
            accession_number=wish.accession_number,
            at=wish.at,
            finding=wish.finding,
        )

    return make


def _waveform(recording: Callable[[int, bool], waveforms.Recording]) -> Maker:
    def make(wish: Wish) -> GeneratedStudy:
        return waveforms.study(
            recording,
            wish.seed,
            person=wish.person,
            accession_number=wish.accession_number,
            at=wish.at,
            finding=wish.finding,
        )

    return make


KINDS: Mapping[str, Maker] = MappingProxyType(
    {
        "brain-mr": _brain,
        "chest-xray": _chest(radiographs.DX),
        "chest-xray-cr": _chest(radiographs.CR),
        "ecg": _waveform(waveforms.twelve_leads),
        "ecg-single": _waveform(waveforms.single_lead),
        "ecg-ambulatory": _waveform(waveforms.ambulatory),
        "heart-sound": _waveform(waveforms.heart_sound),
        "voice": _waveform(waveforms.voice),
    }
)


def make(kind: str, wish: Wish) -> GeneratedStudy:
    """Make a study of a kind.

    Raises
    ------
    InputError
        If there is no such kind.
    """
    if kind not in KINDS:
        raise InputError(f"no kind of study is called {kind!r}; there are: {', '.join(KINDS)}")
    return KINDS[kind](wish)
