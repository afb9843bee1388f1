"""What running models costs beside the models themselves: `python -m tests.benchmarks.runtime`.

Parts: ``pipeline`` (a worker with studies queued at once against a bare loop of load and predict), ``batches`` (small
images one at a time and several at once), ``tuning`` (channels last, bfloat16 and torch.compile for the hippocampus
model).
On a machine with a GPU the same command measures there.
"""

from __future__ import annotations

import argparse
import json
import os


def main() -> None:
    """Measure and print JSON."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # both sides as a worker has it, before torch is loaded
    from tests.benchmarks.runtime import parts

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default="pipeline,batches,tuning")
    parser.add_argument("--pairs", type=int, default=5, help="runs of each side, in turns")
    parser.add_argument("--studies", type=int, default=20, help="studies queued at once")
    parser.add_argument("--images", type=int, default=128, help="images of a run of batches")
    asked = parser.parse_args()
    found: dict[str, object] = {"load_average": os.getloadavg()}
    for part in asked.parts.split(","):
        if part == "pipeline":
            found[part] = parts.pipeline(asked.pairs, asked.studies)
        elif part == "batches":
            found[part] = parts.batches(asked.pairs, asked.images)
        elif part == "tuning":
            found[part] = parts.tuning(asked.pairs)
        else:
            parser.error(f"there is no part {part!r}")
    print(json.dumps(found, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
