"""How well and how fast notes are read, beside medspaCy and negspacy on the same sentences and notes.

`python -m tests.benchmarks.notes` measures. The peers need not be installed here: `--medspacy` and `--negspacy` name
the Python that has them, which runs `peer.py` in a process of its own. `corpus` reads the data, `measure` scores and
times.
"""
