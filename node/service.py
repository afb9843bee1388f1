"""The receiver's, the indexer's and the listener's own way in: `python -m node.service receiver --config FILE`.

The `overread` command loads every command's libraries; these processes run for months, several on a machine, and load
what they use.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from node import config, logs
from node.errors import OverreadError
from node.settings import Settings

NAMES = ("receiver", "indexer", "listener")


def configured(path: Path | None) -> Settings:
    """Return the settings and set up logging by them."""
    settings = config.load(path)
    logs.configure(level=settings.node.log_level, json=settings.node.log_format == "json")
    return settings


def run(name: str, settings: Settings) -> None:
    """Run a process until it is asked to stop."""
    if name == "receiver":
        from node.dicom.crew import run_crew

        run_crew(settings)
    elif name == "listener":
        from node.hl7.listener import run_listener

        run_listener(settings)
    else:
        from node.dicom.index_process import run_indexer

        run_indexer(settings)


def main() -> int:
    """Read the command line and run; returns the exit status."""
    os.umask(0o077)  # what these processes write holds patient data, and is their user's alone
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy comes with pydicom; these processes compute nothing
    parser = argparse.ArgumentParser(prog="python -m node.service", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--config", type=Path)
    options = parser.parse_args()
    try:
        run(options.name, configured(options.config))
    except (OverreadError, OSError) as exc:
        sys.stderr.write(f"overread: {exc}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
