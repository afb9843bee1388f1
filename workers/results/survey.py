"""`overread results validate`: which objects lie under some paths, and what validators and checklist say of them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID, Comprehensive3DSRStorage, DeflatedExplicitVRLittleEndian, SegmentationStorage

from node.dicom.files import EXPLICIT_BIG, IMPLICIT_LITTLE, collect, describe
from node.dicom.structure import scan
from node.errors import OverreadError
from workers.reading.instances import quiet
from workers.results.air.checklist import check, is_result
from workers.results.air.rule import CAPTURES, ENCODINGS, FALLBACKS, KEY_OBJECTS, LABEL_MAP, MAPS, PDFS, STATES, Broken
from workers.results.validate import Issue, errors, fitting, missing, run, validate_together

T = TypeVar("T")

#: How dcentvfy names the two files that disagree.
VERSUS = re.compile(r"for file <(.+?)> versus <(.+?)>", re.DOTALL)

#: Short names of SOP classes, for people.
KINDS = {
    SegmentationStorage: "SEG",
    LABEL_MAP: "SEG label map",
    Comprehensive3DSRStorage: "SR",
    **dict.fromkeys(MAPS, "parametric map"),
    **dict.fromkeys(KEY_OBJECTS, "key objects"),
    **dict.fromkeys(STATES, "presentation state"),
    **dict.fromkeys(CAPTURES, "secondary capture"),
    **dict.fromkeys(PDFS, "PDF"),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of one object; ``unreadable`` is the reason where it could not be read."""

    path: Path
    kind: str
    validators: tuple[str, ...] = ()
    issues: tuple[Issue, ...] = ()
    broken: tuple[Broken, ...] = ()
    unreadable: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with it."""
        return not (self.unreadable or self.broken or errors(self.issues))

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for people's table and for JSON."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "ok": self.ok,
            "unreadable": self.unreadable,
            "validators": list(self.validators),
            **sorted_out(self.issues),
            "air": [
                {"rule": item.rule.id, "text": item.text, "clause": item.rule.clause, "demand": item.rule.demand}
                for item in self.broken
            ],
        }


@dataclass(frozen=True, slots=True)
class Together:
    """What is said of the objects of one path as a set."""

    path: str
    objects: int
    issues: tuple[Issue, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for people's table and for JSON."""
        return {"path": self.path, "objects": self.objects, "ok": not errors(self.issues), **sorted_out(self.issues)}


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is to do: objects to judge, and sets of files to compare.

    ``compared`` counts the images that only their consistency with the results is asked of, ``skipped`` the files that
    are no DICOM objects.
    """

    objects: tuple[Path, ...]
    sets: tuple[tuple[str, tuple[Path, ...]], ...]
    compared: int
    skipped: int

    @property
    def steps(self) -> int:
        """How often :func:`survey` calls back."""
        return len(self.objects) + len(self.sets)


def sorted_out(issues: Sequence[Issue]) -> dict[str, Any]:
    """Issues by what they mean: errors, errors that a clause excuses, warnings."""
    return {
        "errors": [asdict(item) for item in errors(issues)],
        "tolerated": [asdict(item) for item in issues if item.clause],
        "warnings": [asdict(item) for item in issues if item.severity == "warning"],
    }


def plan(paths: Sequence[Path], *, every: bool = False) -> Plan:
    """Find what is to be judged under some paths.

    Parameters
    ----------
    paths
        Files, each of which is judged, and folders, in which results are judged and all objects are compared; the
        files that are named themselves are compared with each other.
    every
        Judge the images in folders too.

    Raises
    ------
    OverreadError
        If a path does not exist, or there is no DICOM object under the paths.
    """
    files = tuple(path for path in paths if not path.is_dir())
    named = collect(files)
    folders = {str(path): collect([path]) for path in paths if path.is_dir()}
    found = [path for item in folders.values() for path in item.files]
    judged = [path for path in found if every or _may_be_result(path)]
    if not named.files and not found:
        raise OverreadError("there is no DICOM object with valid UIDs among the paths")
    sets = [("the files named", named.files), *((name, item.files) for name, item in folders.items())]
    return Plan(
        tuple(dict.fromkeys([*named.files, *judged])),
        tuple((name, members) for name, members in sets if len(members) > 1),
        len(found) - len(judged),
        named.skipped + sum(item.skipped for item in folders.values()),
    )


def _may_be_result(path: Path) -> bool:
    sop_class = describe(path).sop_class
    if sop_class not in FALLBACKS:
        return sop_class in ENCODINGS
    try:
        with quiet():
            return is_result(dcmread(path, specific_tags=["SOPClassUID", "Manufacturer"], force=True))
    except Exception:  # what cannot be read is judged, and said to be unreadable
        return True


def survey(
    todo: Plan, done: Callable[[], None] = lambda: None, jobs: int | None = None
) -> tuple[list[Verdict], list[Together]]:
    """Judge all objects and sets of a plan, as many at once as there are processors.

    Parameters
    ----------
    todo
        What :func:`plan` found.
    done
        Called after each object and each set.
    jobs
        How many validators run at once; default: as many as there are processors.
    """

    def step(work: Callable[[], T]) -> T:
        found = work()
        done()
        return found

    with quiet(), ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        judged = frozenset(map(str, todo.objects))
        together = [pool.submit(step, partial(_compare, *item, judged)) for item in todo.sets]
        single = [pool.submit(step, partial(judge, path)) for path in todo.objects]
        return [item.result() for item in single], [item.result() for item in together]


def _compare(name: str, members: tuple[Path, ...], judged: frozenset[str]) -> Together:
    return Together(name, len(members), tuple(_of_results(issue, judged) for issue in validate_together(members)))


def _of_results(issue: Issue, judged: frozenset[str]) -> Issue:
    """Turn an error into a warning where it says that two images disagree: that is not the results' doing."""
    images = VERSUS.search(issue.text)
    if issue.severity != "error" or images is None or judged & set(images.groups()):
        return issue
    return replace(issue, severity="warning", text=f"between images: {issue.text}")


def judge(path: Path) -> Verdict:
    """Say what is wrong with one object; never raises for what a file holds.

    Python warnings, which may quote values, are silenced by :func:`survey` for all threads at once.
    """
    try:
        ds = _read(path)
    except OSError as exc:
        return Verdict(path, "", unreadable=exc.strerror or "it cannot be read")
    except OverreadError as exc:
        return Verdict(path, "", unreadable=str(exc))
    except Exception as exc:  # pydicom raises many kinds of error on bad bytes
        return Verdict(path, "", unreadable=f"it cannot be parsed as DICOM ({type(exc).__name__})")
    sop_class = UID(str(ds.get("SOPClassUID", "")))
    validators = fitting(sop_class, str(ds.get("Modality", "")))
    return Verdict(
        path,
        KINDS.get(sop_class, sop_class.name.removesuffix(" Storage")),
        tuple(item.name for item in validators),
        tuple(issue for item in validators for issue in run(item, path)),
        tuple(check(ds)),
    )


def _read(path: Path) -> Dataset:
    """Read an object that is whole; pydicom itself takes what there is of a truncated one."""
    found = describe(path)
    if found.transfer_syntax != DeflatedExplicitVRLittleEndian:
        implicit, little = found.transfer_syntax == IMPLICIT_LITTLE, found.transfer_syntax != EXPLICIT_BIG
        scan(memoryview(found.dataset()), implicit=implicit, little=little)
    ds = dcmread(path, force=True)
    for element in ds.iterall():
        _ = element.VR  # sequences are parsed when they are walked
    return ds


def as_dict(todo: Plan, verdicts: Sequence[Verdict], together: Sequence[Together]) -> dict[str, Any]:
    """The whole answer as plain data."""
    objects, sets = [item.as_dict() for item in verdicts], [item.as_dict() for item in together]
    return {
        "ok": all(item["ok"] for item in (*objects, *sets)),
        "objects": objects,
        "sets": sets,
        "only_compared": todo.compared,
        "skipped": todo.skipped,
        "missing": [{"validator": name, "package": package} for name, package in missing()],
    }
