"""The receivers of a node as in production, but that one which is killed for the hundredth time is back as soon.

``python -m tests.campaigns.crew receiver --config FILE``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from node.dicom.crew import run_crew
from node.service import configured

if __name__ == "__main__":
    run_crew(configured(Path(sys.argv[3])), backoff=(0.5,))
