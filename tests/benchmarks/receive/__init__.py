"""How fast, at what cost and how safely objects arrive: our receiver and its peers side by side in one run.

``python -m tests.benchmarks.receive --help``. Every peer takes the same files from the same sender (DCMTK storescu) and
writes them to the same disk. A round measures all receivers of a case right after each other, and every second round
in the opposite order; what is reported is the median of the ratios within the rounds, because on a machine that does
other things as well two runs are comparable only when they are neighbours.
"""
