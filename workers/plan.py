"""What is to be built of a job: which kinds in which profiles, and where each goes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from node.settings import Destination
from workers.results import BUILDERS, PROFILED
from workers.results.profile import DEFAULT, Profile

#: Kinds that show pixels of the images.
PICTURES = frozenset({"gsps", "sc", "pdf"})


@dataclass(frozen=True, slots=True)
class Plan:
    """The destinations of a job's results, in the order of the configuration."""

    destinations: tuple[Destination, ...]

    @property
    def primary(self) -> Profile:
        """Profile of the first archive: what messages and other documents refer to."""
        archives = (item for item in self.destinations if item.kind in ("dicom", "dicomweb"))
        return next((profile_of(item) for item in archives if PROFILED & set(item.accepts)), DEFAULT)

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """Profiles to build in, the default one first.

        That one always: the web pages draw its segmentation, and the chain of reports hangs on its SR.
        """
        wanted = [profile_of(item) for item in self.destinations if PROFILED & set(item.accepts)]
        return tuple(dict.fromkeys([DEFAULT, *wanted]))

    def kinds(self, profile: Profile) -> tuple[str, ...]:
        """Kinds to build in a profile; those that do not come in profiles refer to the objects of the primary one."""
        others = self._accepted - PROFILED if profile == self.primary else frozenset()
        return tuple(kind for kind in BUILDERS if kind in PROFILED or kind in others)

    @property
    def pictures(self) -> bool:
        """Whether something that shows pixels is built."""
        return bool(PICTURES & self._accepted)

    @property
    def _accepted(self) -> frozenset[str]:
        return frozenset(kind for item in self.destinations for kind in item.accepts)

    def receivers(self, kind: str, profile: str) -> list[str]:
        """Names of the destinations that get a kind in a profile."""
        return [
            item.name
            for item in self.destinations
            if kind in item.accepts and form(kind, profile_of(item)).key == profile
        ]


def make_plan(destinations: Iterable[Destination], chosen: Collection[str]) -> Plan:
    """Plan for the destinations that a rule names in ``chosen``, or for all where it names none."""
    return Plan(tuple(item for item in destinations if not chosen or item.name in chosen))


def form(kind: str, profile: Profile) -> Profile:
    """Return the profile that objects of a kind have when they are built beside those of ``profile``."""
    return profile if kind in PROFILED else DEFAULT


def profile_of(destination: Destination) -> Profile:
    """Return the form in which a destination's viewers want segmentations."""
    return Profile(destination.segmentation, destination.empty_frames, destination.split_segments)
