"""What is to be built of a job: which kinds in which profiles, and where each goes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from node.settings import MESSAGES, Destination
from workers.results import BUILDERS, PROFILED
from workers.results.messages.addressing import PLAIN, Addressing, addressing_of
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
        accepted = frozenset(kind for item in self.destinations for kind in item.accepts)
        attached = any(item.attach_pdf for item in self.forms("oru"))
        return accepted | {"pdf"} if attached else accepted

    def forms(self, kind: str) -> tuple[Addressing, ...]:
        """Forms in which the messages of a kind are written, each once; none where nobody takes them."""
        found = [addressing_of(item, kind) for item in self.destinations if kind in item.accepts]
        return tuple(dict.fromkeys(found))

    @property
    def reports(self) -> tuple[Addressing, ...]:
        """Forms of the ORU: the plain one where nobody takes any, since the web pages show it."""
        return self.forms("oru") or (PLAIN,)

    def wanted(self) -> set[tuple[str, str]]:
        """Kind and form of all that a report consists of."""
        objects = {(kind, form(kind, profile).key) for profile in self.profiles for kind in self.kinds(profile)}
        return objects | {("oru", addressing.key) for addressing in self.reports}

    def receivers(self, kind: str, profile: str) -> list[str]:
        """Names of the destinations that get a kind in a profile, or a message in a form."""
        return [item.name for item in self.destinations if kind in item.accepts and _key(kind, item) == profile]


def _key(kind: str, destination: Destination) -> str:
    return addressing_of(destination, kind).key if kind in MESSAGES else form(kind, profile_of(destination)).key


def make_plan(destinations: Iterable[Destination], chosen: Collection[str]) -> Plan:
    """Plan for the destinations that a rule names in ``chosen``, or for all where it names none."""
    return Plan(tuple(item for item in destinations if not chosen or item.name in chosen))


def form(kind: str, profile: Profile) -> Profile:
    """Return the profile that objects of a kind have when they are built beside those of ``profile``."""
    return profile if kind in PROFILED else DEFAULT


def profile_of(destination: Destination) -> Profile:
    """Return the form in which a destination's viewers want segmentations."""
    return Profile(destination.segmentation, destination.empty_frames, destination.split_segments)
