"""The spool: received instances as files, which are the truth."""

from node.storage.layout import StoredFile
from node.storage.seal import dataset_digest
from node.storage.spool import Spool

__all__ = ["Spool", "StoredFile", "dataset_digest"]
