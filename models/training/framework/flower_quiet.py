"""Start Flower's programs so that they phone nobody.

``python -m models.training.framework.flower_quiet flower-supernode ...`` is ``flower-supernode ...`` with what switches
off Flower's telemetry, its question for updates, and the installation of packages that an app asks for (flwr 1.42:
``supercore/telemetry.py``, ``supercore/update_check.py``, ``superlink/cli/flower_superlink.py``). All three are on
otherwise, and telemetry is sent before any code of an app runs.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

#: What Flower reads from the environment.
QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
}
PROGRAMS = ("flower-superlink", "flower-supernode", "flwr")


def loud(environment: Mapping[str, str]) -> list[str]:
    """Give the names of what would have to be set to keep Flower quiet."""
    return sorted(name for name, value in QUIET.items() if environment.get(name) != value)


def quieted(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Give an environment in which Flower is quiet and its programs find each other in ``folder``."""
    return {**environment, **QUIET, "PATH": os.pathsep.join([str(folder), environment.get("PATH", os.defpath)])}


def main(arguments: Sequence[str]) -> None:
    """Become one of Flower's programs, of the environment that Python is in.

    Raises
    ------
    SystemExit
        If it is none of Flower's, or is not installed.
    """
    folder = Path(sys.executable).parent
    if not arguments or arguments[0] not in PROGRAMS:
        raise SystemExit(f"say which program to start: {', '.join(PROGRAMS)}")
    program = shutil.which(arguments[0], path=str(folder))
    if program is None:
        raise SystemExit(f"{arguments[0]} is not installed beside this Python: see docs/training.md")
    os.execve(program, [program, *arguments[1:]], quieted(os.environ, folder))  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
