"""Dividing cases into parts so that no patient is in two, and every part has its share of each stratum."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Split:
    """Case identifiers of the three parts, each sorted."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    held_out: tuple[str, ...]

    def as_dict(self) -> dict[str, list[str]]:
        """Lists by name of the part, for JSON."""
        return {"train": list(self.train), "validation": list(self.validation), "held_out": list(self.held_out)}


def split_by_group(
    cases: Iterable[str],
    group_of: Callable[[str], str],
    seed: int,
    held_out: float = 0.2,
    validation: float = 0.12,
) -> Split:
    """Divide cases so that those of one group (one subject) stay together.

    Groups are ordered by the SHA-256 of ``seed`` and their name and fill the held-out part first, then the validation
    part, until each has its share of the cases: the same on every machine, and independent of the order of files.

    Parameters
    ----------
    cases
        Identifiers.
    group_of
        Name of the group that a case belongs to.
    seed
        Another seed gives another division.
    held_out, validation
        Share of all cases.
    """
    groups: dict[str, list[str]] = {}
    for case in sorted(cases):
        groups.setdefault(group_of(case), []).append(case)
    order = sorted(groups, key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).hexdigest())
    total = sum(len(members) for members in groups.values())
    parts: list[list[str]] = [[], [], []]
    limits = (round(total * held_out), round(total * validation))
    for group in order:
        part = next((i for i, limit in enumerate(limits) if len(parts[i]) < limit), 2)
        parts[part].extend(groups[group])
    return Split(tuple(sorted(parts[2])), tuple(sorted(parts[1])), tuple(sorted(parts[0])))


def _by_stratum(
    cases: Iterable[str], group_of: Callable[[str], str], stratum_of: Callable[[str], str] | None
) -> list[list[str]]:
    """Cases by the stratum of their group, which is the most frequent one of its cases; in the order of the names."""
    ordered = sorted(set(cases))
    if stratum_of is None:
        return [ordered]
    groups: dict[str, list[str]] = {}
    for case in ordered:
        groups.setdefault(group_of(case), []).append(case)
    strata: dict[str, list[str]] = {}
    for members in groups.values():
        counts = Counter(stratum_of(case) for case in members)
        strata.setdefault(min(counts, key=lambda name: (-counts[name], name)), []).extend(members)
    return [strata[name] for name in sorted(strata)]


def divide(
    cases: Iterable[str],
    group_of: Callable[[str], str],
    seed: int = 0,
    *,
    held_out: float = 0.2,
    validation: float = 0.12,
    stratum_of: Callable[[str], str] | None = None,
) -> Split:
    """Divide cases into training, validation and held-out part.

    Each stratum is divided on its own by :func:`split_by_group`, which orders groups by a digest
    of ``seed`` and their name: the same on every machine, and whatever the order of the cases.

    Parameters
    ----------
    cases
        Identifiers; one that comes twice counts once.
    group_of
        Name of the group (the patient) that a case belongs to; a group is never divided.
    seed
        Another seed gives another division.
    held_out, validation
        Share of all cases.
    stratum_of
        Name of a case's stratum (its class, its scanner), so that every part gets its share of each. A group is of the
        stratum that most of its cases are of.
    """
    parts = [
        split_by_group(members, group_of, seed, held_out=held_out, validation=validation)
        for members in _by_stratum(cases, group_of, stratum_of)
    ]
    return Split(
        train=tuple(sorted(case for part in parts for case in part.train)),
        validation=tuple(sorted(case for part in parts for case in part.validation)),
        held_out=tuple(sorted(case for part in parts for case in part.held_out)),
    )


def folds(
    cases: Iterable[str],
    group_of: Callable[[str], str],
    seed: int,
    count: int,
    stratum_of: Callable[[str], str] | None = None,
) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Divide cases into ``count`` folds for cross-validation.

    Groups are dealt in the order of a digest of ``seed`` and their name, each to the fold that has the fewest cases of
    its stratum.

    Returns
    -------
    list
        Of each fold the cases to train on and the cases to validate on, sorted.
    """
    if count < 2:
        raise ValueError("cross-validation needs at least two folds")
    ordered = sorted(set(cases))
    parts: list[list[str]] = [[] for _ in range(count)]
    for members in _by_stratum(ordered, group_of, stratum_of):
        for fold, dealt in zip(parts, _deal(members, group_of, seed, count, parts), strict=True):
            fold.extend(dealt)
    chosen = [frozenset(part) for part in parts]
    return [(tuple(case for case in ordered if case not in part), tuple(sorted(part))) for part in chosen]


def _deal(
    members: Iterable[str], group_of: Callable[[str], str], seed: int, count: int, sizes: list[list[str]]
) -> list[list[str]]:
    """Deal the groups of one stratum; of equally full folds the one that is emptier over all strata comes first."""
    groups: dict[str, list[str]] = {}
    for case in members:
        groups.setdefault(group_of(case), []).append(case)
    dealt: list[list[str]] = [[] for _ in range(count)]
    for group in sorted(groups, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()):
        fold = min(range(count), key=lambda i: (len(dealt[i]), len(sizes[i]) + len(dealt[i]), i))
        dealt[fold].extend(groups[group])
    return dealt
