"""`python -m node` is the `overread` command."""

from node.cli import main

main()
