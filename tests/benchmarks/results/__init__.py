"""How long results take to build and to encode, beside highdicom alone on the same arrays.

`python -m tests.benchmarks.results` measures; `study` makes the input, `contenders` holds the two ways, `measure` times
them in turn and counts bytes.
"""
