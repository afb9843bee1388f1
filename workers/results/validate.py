"""Ask independent validators about a result, where installed: dciodvfy (dicom3tools), DicomSRValidator (PixelMed)."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread

#: Where Debian's package libpixelmed-java puts its archive; what it depends on lies beside it.
PIXELMED_JAR = Path("/usr/share/java/pixelmed.jar")

#: The SR templates overrun the limits that Java's XPath has since 17.0.12.
XPATH_LIMITS = ("TotalOpLimit", "ExprOpLimit", "ExprGrpLimit")

#: A virtual machine that lives for one file does best without its second compiler and parallel collector.
SHORT_LIVED = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")

#: Longest time for one file, in seconds; DicomSRValidator takes five.
TIMEOUT = 120.0

DCIODVFY = "dciodvfy"
SR_VALIDATOR = "DicomSRValidator"


#: What a validator prints when it has understood the object: without it, silence is no verdict.
COMPLETE = {DCIODVFY: r"^(Segmentation|Comprehensive3DSR)", SR_VALIDATOR: r"^Root Template Validation Complete"}


@dataclass(frozen=True, slots=True)
class Tolerated:
    """An error of a validator that is older than the standard, or mistaken, and the clause that says so."""

    tool: str
    pattern: str
    clause: str


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
)


@dataclass(frozen=True, slots=True)
class Issue:
    """What a validator says. ``clause`` is not empty where the error is one of :data:`TOLERATED`."""

    tool: str
    severity: str
    text: str
    clause: str = ""


def validate(path: Path) -> list[Issue]:
    """Run every validator that is installed and fits the object.

    Parameters
    ----------
    path
        A DICOM file; DicomSRValidator runs if it is a structured report.

    Returns
    -------
    list of Issue
        Errors and warnings in the order of the validators' output; empty also where no validator is installed.
    """
    issues = list(_parse(DCIODVFY, _run(["dciodvfy", str(path)]))) if shutil.which("dciodvfy") else []
    if _is_report(path) and shutil.which("java") and PIXELMED_JAR.exists():
        issues += _parse(SR_VALIDATOR, _run(_sr_command(path)))
    return issues


def errors(issues: Iterable[Issue]) -> list[Issue]:
    """Return the errors that no clause excuses."""
    return [issue for issue in issues if issue.severity == "error" and not issue.clause]


def _is_report(path: Path) -> bool:
    return str(dcmread(path, specific_tags=["Modality"], stop_before_pixels=True).get("Modality")) == "SR"


def _sr_command(path: Path) -> list[str]:
    limits = [f"-Djdk.xml.xpath{name}=0" for name in XPATH_LIMITS]
    classpath = f"{PIXELMED_JAR}:{PIXELMED_JAR.parent}/*"
    return ["java", *SHORT_LIVED, *limits, "-cp", classpath, "com.pixelmed.validate.DicomSRValidator", str(path)]


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT)
    return (done.stdout + b"\n" + done.stderr).decode("utf-8", errors="replace")


def _parse(tool: str, output: str) -> Iterator[Issue]:
    """Turn a validator's lines into issues."""
    for line in output.splitlines():
        if line.startswith("Error"):
            yield Issue(tool, "error", line, _clause(tool, line))
        elif line.startswith("Warning"):
            yield Issue(tool, "warning", line)
    if not re.search(COMPLETE[tool], output, re.MULTILINE):
        yield Issue(tool, "error", "the validator did not come to its end")


def _clause(tool: str, line: str) -> str:
    return next((item.clause for item in TOLERATED if item.tool == tool and re.search(item.pattern, line)), "")
