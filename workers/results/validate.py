"""Ask independent validators about results, where installed: dciodvfy, dcentvfy (dicom3tools), DicomSRValidator.

dciodvfy judges an object by its IOD, DicomSRValidator a document by its templates, dcentvfy several objects by whether
they agree on patient, study, series and equipment.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom import dcmread

from workers.reading.instances import quiet
from workers.results.air.rule import KEY_OBJECTS, LABEL_MAP, REPORTS, references

#: Where Debian's package libpixelmed-java puts its archive; what it depends on lies beside it.
PIXELMED_JAR = Path("/usr/share/java/pixelmed.jar")

#: The SR templates overrun the limits that Java's XPath has since 17.0.12.
XPATH_LIMITS = ("TotalOpLimit", "ExprOpLimit", "ExprGrpLimit")

#: A virtual machine that lives for one file does best without its second compiler and parallel collector.
SHORT_LIVED = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")

#: Longest time for one file, or one set of files, in seconds; DicomSRValidator takes five.
TIMEOUT = 120.0

DCIODVFY = "dciodvfy"
DCENTVFY = "dcentvfy"
SR_VALIDATOR = "DicomSRValidator"

#: What a validator prints when it has understood the object, such as the IOD's name: without it, silence is no verdict.
COMPLETE = {
    DCIODVFY: r"^([A-Z][A-Za-z0-9]+|Error - Information Object Not found)$",
    SR_VALIDATOR: r"^Root Template Validation Complete",
}


@dataclass(frozen=True, slots=True)
class Tolerated:
    """An error of a validator that is older than the standard, or mistaken, and the clause that says so.

    ``of`` narrows it down to objects of a SOP class, and those that refer to one.
    """

    tool: str
    pattern: str
    clause: str
    of: str = ""


TOLERATED: tuple[Tolerated, ...] = (
    Tolerated(
        SR_VALIDATOR,
        r"Template (300|1419) .*\[Row (9|1[034])\] NUM \*: .*\(37188[56]00[78],SCT,.*expected INFERRED FROM",
        "PS3.16 TID 300 and TID 1419 include TID 310, which gives Measurement Uncertainty (CID 225) by HAS PROPERTIES "
        "NUM; the validator holds their INFERRED FROM NUM rows, which name no concept, against every NUM below a value",
    ),
    Tolerated(
        SR_VALIDATOR,
        r"Template 1411 .*\[Row (5|7|10)\] .*: Missing conditional content item",
        "PS3.16 TID 1500 rows 7 to 9: each measurement group is of the template that it names; the validator applies "
        "TID 1411 to all groups of a report in which one group has a segment",
    ),
    Tolerated(
        SR_VALIDATOR,
        r"\(121058,DCM,\"Procedure reported\"\): Code \((29303009|37931006|225338004|71388002),SCT,.* not found in "
        r"context group 100",
        "PS3.16 CID 100 is extensible, so that it may be used with codes of concepts that it lacks: it lists imaging "
        "procedures, and recording an ECG, auscultation and an assessment of risk are none",
    ),
    Tolerated(
        SR_VALIDATOR,
        r"\(121058,DCM,\"Procedure reported\"\): Code \(43468-8,LN,.* not found in context group 100",
        "PS3.16 CID 100 has (43468-8, LN, XR unspecified body region); the validator of 2022 has an older list",
    ),
    Tolerated(
        SR_VALIDATOR,
        r"Template 1501 .*\[Row 10g\] TCOORD \*/\[Row 10h\] WAVEFORM .*expected CONTAINS - found SELECTED FROM",
        "PS3.3 table A.35.13-2: a TCOORD has its waveform by SELECTED FROM and by no other relationship",
    ),
    Tolerated(
        DCIODVFY,
        r"^Error - Information Object Not found$",
        "PS3.4 table B.5-1 has Label Map Segmentation Storage (1.2.840.10008.5.1.4.1.1.66.7) since Supplement 243; "
        "dciodvfy of 2022 has no such IOD",
        LABEL_MAP,
    ),
    Tolerated(
        DCIODVFY,
        r"SegmentNumber not monotonically increasing from one by one",
        "PS3.3 C.8.20.2 as Supplement 243 has it: the segment numbers of a label map are its pixel values, 0 for what "
        "is in no segment; dciodvfy of 2022 knows only numbers from 1",
        LABEL_MAP,
    ),
    Tolerated(
        DCIODVFY,
        r"Shall not be present for Referenced SOP Class that is not segmentation - attribute <ReferencedSegmentNumber>",
        "PS3.3 table 10-3: Referenced Segment Number is required where segments of a segmentation are referred to, and "
        "a label map is one; dciodvfy of 2022 does not know its SOP class",
        LABEL_MAP,
    ),
)


@dataclass(frozen=True, slots=True)
class Issue:
    """What a validator says. ``clause`` is not empty where the error is one of :data:`TOLERATED`."""

    tool: str
    severity: str
    text: str
    clause: str = ""


@dataclass(frozen=True, slots=True)
class Validator:
    """A validator of single objects.

    Parameters
    ----------
    name
        Its program.
    package
        Debian's package that brings it.
    installed
        Whether it can be run here.
    fits
        Whether it has something to say of objects of a SOP class and modality.
    command
        The command line for a file.
    """

    name: str
    package: str
    installed: Callable[[], bool]
    fits: Callable[[str, str], bool]
    command: Callable[[Path], list[str]]


def _sr_command(path: Path) -> list[str]:
    limits = [f"-Djdk.xml.xpath{name}=0" for name in XPATH_LIMITS]
    classpath = f"{PIXELMED_JAR}:{PIXELMED_JAR.parent}/*"
    return ["java", *SHORT_LIVED, *limits, "-cp", classpath, "com.pixelmed.validate.DicomSRValidator", str(path)]


VALIDATORS: tuple[Validator, ...] = (
    Validator(
        DCIODVFY,
        "dicom3tools",
        lambda: shutil.which(DCIODVFY) is not None,
        # Its release of 2022 does not know Label Map Segmentation, which is of 2024 (PS3.3 A.51, Supplement 243).
        lambda sop_class, _modality: sop_class != LABEL_MAP,
        lambda path: [DCIODVFY, "-if", str(path)],
    ),
    Validator(
        SR_VALIDATOR,
        "pixelmed-apps",
        lambda: shutil.which("java") is not None and PIXELMED_JAR.exists(),
        lambda sop_class, modality: sop_class in REPORTS | KEY_OBJECTS or modality == "SR",
        _sr_command,
    ),
)


def missing() -> list[tuple[str, str]]:
    """Validators that are not installed, each with the Debian package that brings it."""
    found = [(item.name, item.package) for item in VALIDATORS if not item.installed()]
    return found if shutil.which(DCENTVFY) else [*found, (DCENTVFY, "dicom3tools")]


def fitting(sop_class: str, modality: str) -> list[Validator]:
    """Validators that are installed and fit objects of a SOP class and modality."""
    return [item for item in VALIDATORS if item.installed() and item.fits(sop_class, modality)]


def validate(path: Path) -> list[Issue]:
    """Run every validator that is installed and fits the object.

    Parameters
    ----------
    path
        A DICOM file; DicomSRValidator runs if it is a structured report or key object selection.

    Returns
    -------
    list of Issue
        Errors and warnings in the order of the validators' output; empty also where no validator is installed.
    """
    with quiet():
        ds = dcmread(path, specific_tags=["SOPClassUID", "Modality"], stop_before_pixels=True)
    validators = fitting(str(ds.get("SOPClassUID", "")), str(ds.get("Modality", "")))
    return [issue for item in validators for issue in run(item, path)]


def errors(issues: Iterable[Issue]) -> list[Issue]:
    """Return the errors that no clause excuses."""
    return [issue for issue in issues if issue.severity == "error" and not issue.clause]


def run(validator: Validator, path: Path) -> list[Issue]:
    """Run one validator on one file; that it does not end in time is an error of the object, not an exception."""
    output = _output(validator.command(path.absolute()))
    if output is None:
        return [_late(validator.name)]
    issues = [_judged(issue, path) for issue in _parse(validator.name, output)]
    if not re.search(COMPLETE[validator.name], output, re.MULTILINE):
        issues.append(Issue(validator.name, "error", "the validator did not come to its end"))
    return issues


def validate_together(paths: Sequence[Path]) -> list[Issue]:
    """Run dcentvfy on objects that belong together, such as a study's images and results.

    In what it says, files are named as in ``paths``. Empty where it is not installed or there is nothing to compare.
    """
    if len(paths) < 2 or shutil.which(DCENTVFY) is None:
        return []
    with tempfile.TemporaryDirectory(prefix="overread-") as folder:
        links = [Path(folder) / str(number) for number in range(len(paths))]
        for link, path in zip(links, paths, strict=True):
            link.symlink_to(path.absolute())  # the list of files has one a line, and a file name may hold a line feed
        listed = Path(folder) / "files"
        listed.write_text("".join(f"{link}\n" for link in links), encoding="utf-8")
        output = _output([DCENTVFY, "-f", str(listed)])
    if output is None:
        return [_late(DCENTVFY)]
    link_name = re.compile(f"<{re.escape(folder)}/([0-9]+)>")
    return [
        Issue(issue.tool, issue.severity, link_name.sub(lambda found: f"<{paths[int(found[1])]}>", issue.text))
        for issue in _parse(DCENTVFY, output)
    ]


def _late(tool: str) -> Issue:
    return Issue(tool, "error", f"the validator did not come to its end within {TIMEOUT:g} s")


def _output(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return None
    return (done.stdout + b"\n" + done.stderr).decode("utf-8", errors="replace")


def _parse(tool: str, output: str) -> Iterator[Issue]:
    """Turn a validator's lines into issues; dciodvfy puts the attribute before the word where it has read one."""
    for line in output.splitlines():
        if line.startswith("Error") or " - Error - " in line:
            yield Issue(tool, "error", line)
        elif line.startswith("Warning") or " - Warning - " in line:
            yield Issue(tool, "warning", line)


def _judged(issue: Issue, path: Path) -> Issue:
    """Add the clause to an error that is tolerated in this object."""
    for item in TOLERATED:
        fits = issue.severity == "error" and item.tool == issue.tool and re.search(item.pattern, issue.text)
        if fits and (not item.of or item.of in _sop_classes(path)):
            return replace(issue, clause=item.clause)
    return issue


def _sop_classes(path: Path) -> set[str]:
    """SOP classes of an object and of those that it refers to; none where it cannot be read."""
    with quiet():
        try:
            ds = dcmread(path, stop_before_pixels=True)
        except Exception:  # pydicom raises many kinds of error on bad bytes
            return set()
        return {str(ds.get("SOPClassUID", "")), *(sop_class for sop_class, _ in references(ds))}
