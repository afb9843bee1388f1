"""One model of a transformer engine: loading it from its folder, cutting texts into windows, running batches.

Deterministic on one machine: no dropout, no sampling, windows and batches depend on the texts alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Encoding, Tokenizer

from models.contracts import WeightsError
from models.notes.transformer_folder import TOKENIZER, check_part, labels_of

LONGEST_WINDOW = 512  # tokens; what BERT was made for, longer windows cost quadratic time
OVERLAP = 4  # windows overlap by one part in OVERLAP
BATCH = 32  # windows at a time
MAX_THREADS = 4  # of one forward pass; a worker may allow fewer
TOKENS = "ForTokenClassification"
SEQUENCES = "ForSequenceClassification"
_OFFSET_POSITIONS = frozenset({"camembert", "roberta", "xlm-roberta"})  # their positions begin behind the padding index

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Part:
    """A loaded model.

    Parameters
    ----------
    network
        Gives ``logits`` of shape ``[batch, labels]`` or ``[batch, tokens, labels]``.
    tokenizer
        Cuts what is longer than ``limit`` tokens into overlapping windows.
    labels
        In the order of the outputs.
    padding
        Token that fills a batch.
    """

    network: Any
    tokenizer: Tokenizer
    labels: tuple[str, ...]
    limit: int
    padding: int

    def windows(self, text: str) -> list[Encoding]:
        """Cut ``text`` into windows whose offsets are characters of ``text``.

        Lone surrogates, which are no text, count as replacement characters.
        """
        encoded = self.tokenizer.encode(_surrogates().sub("\ufffd", text))
        return [encoded, *encoded.overflowing]

    def logits(self, windows: Sequence[Encoding]) -> list[Logits]:
        """Run the model over windows; each result is ``[labels]`` or ``[tokens, labels]``, in the order given."""
        order = sorted(range(len(windows)), key=lambda at: len(windows[at].ids))
        results: list[Logits] = [np.empty(0, np.float32)] * len(windows)
        with bounded_threads(MAX_THREADS), torch.inference_mode():
            for begin in range(0, len(order), BATCH):
                chosen = order[begin : begin + BATCH]
                rows = self._run([windows[at].ids for at in chosen])
                for at, row in zip(chosen, rows, strict=True):
                    results[at] = row[: len(windows[at].ids)] if row.ndim == 2 else row
        return results

    def _run(self, ids: Sequence[Sequence[int]]) -> Logits:
        longest = max(len(row) for row in ids)
        tokens = torch.full((len(ids), longest), self.padding)
        mask = torch.zeros((len(ids), longest), dtype=torch.long)
        for at, row in enumerate(ids):
            tokens[at, : len(row)] = torch.tensor(row)
            mask[at, : len(row)] = 1
        return np.asarray(self.network(input_ids=tokens, attention_mask=mask).logits.float().numpy())


@cache
def _surrogates() -> re.Pattern[str]:
    return re.compile("[\ud800-\udfff]")


@contextmanager
def bounded_threads(count: int) -> Iterator[None]:
    """Let torch use at most ``count`` threads within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, count))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def load_part(folder: Path, ending: str) -> Part:
    """Load the model of a folder after checking its files.

    Parameters
    ----------
    folder
        In the layout of ``save_pretrained``.
    ending
        :data:`TOKENS` or :data:`SEQUENCES`.

    Raises
    ------
    WeightsError
        If the folder is not such a model; see :func:`models.notes.transformer_folder.check_part`.
    """
    config = check_part(folder, ending)
    labels = labels_of(config, folder)
    tokenizer = _tokenizer(folder)
    network = _network(folder, ending)
    if tokenizer.get_vocab_size() > network.config.vocab_size:
        raise WeightsError(f"{folder}: the tokenizer knows more tokens than the model")
    positions = int(network.config.max_position_embeddings) - 2 * (config["model_type"] in _OFFSET_POSITIONS)
    limit = min(LONGEST_WINDOW, positions)
    if limit < 16:
        raise WeightsError(f"{folder}: a model of {limit} positions cannot read a sentence")
    tokenizer.no_padding()
    tokenizer.enable_truncation(limit, stride=limit // OVERLAP)
    return Part(network, tokenizer, labels, limit, int(network.config.pad_token_id or 0))


def _tokenizer(folder: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:  # the library raises bare Exception for whatever is wrong with the file
        raise WeightsError(f"{folder / TOKENIZER} is not a tokenizer") from error


def _network(folder: Path, ending: str) -> Any:
    """Load the weights; a tensor that is missing or of another shape is an error, never a random one."""
    import transformers

    kind = getattr(transformers, f"AutoModel{ending}")
    try:
        with quiet(transformers.utils.logging):
            network, report = kind.from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
                dtype=torch.float32,
            )
    except Exception as error:  # whatever a hostile configuration makes the library stumble over
        raise WeightsError(f"{folder}: the weights do not fit the configuration ({type(error).__name__})") from error
    if odd := sorted(str(name) for name in (*report["missing_keys"], *report["mismatched_keys"])):
        raise WeightsError(f"{folder}: the file of weights lacks {len(odd)} tensors of the model, such as {odd[0]}")
    if not all(bool(torch.isfinite(value).all()) for value in network.state_dict().values()):
        raise WeightsError(f"{folder}: the weights hold numbers that are none")
    return network.eval()


@contextmanager
def quiet(logging: Any) -> Iterator[None]:
    """Keep the library from writing bars and reports to the terminal; what matters becomes an error."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
