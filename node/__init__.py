"""Everything that talks to the hospital, decides and remembers. Knows nothing of torch, of models or of workers."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("overread")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"
