"""Training of small BERT classifiers from scratch: a tokenizer, an encoder of a few layers, a head for one task.

They show that the transformer engine can be trained and loaded with what is at hand. They are not language models: a
pretrained clinical BERT put in the same folder will know more.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from rich.console import Console
from rich.progress import track
from tokenizers import Encoding, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch.nn import functional

from models.notes.transformer_folder import TOKENIZER
from models.notes.transformer_model import quiet

MASK = "[CONCEPT]"
PADDING, UNKNOWN, START, END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
SPECIAL = (PADDING, UNKNOWN, START, END, MASK)
_LONGEST_PIECE = 6  # characters of the beginning or end of a word
IGNORED = -100  # target of tokens that do not count (torch's cross-entropy passes it over)

Tensor = torch.Tensor
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Shape:
    """Size of the encoder and numbers of its training.

    Parameters
    ----------
    vocabulary
        Largest number of word pieces.
    layers, hidden, heads
        Of the encoder; the inner layers are four times as wide as ``hidden``.
    window
        Positions, the longest text in tokens.
    epochs
        Passes over the training texts.
    batch
        Texts a step.
    learning_rate
        Highest rate of AdamW; warmed up over a tenth of the steps, then lowered along a line to zero.
    dropout
        Of attention and hidden layers.
    """

    vocabulary: int = 4000
    layers: int = 3
    hidden: int = 128
    heads: int = 4
    window: int = 128
    epochs: int = 12
    batch: int = 32
    learning_rate: float = 1e-3
    dropout: float = 0.1


@dataclass(frozen=True, slots=True)
class Task:
    """What a head learns.

    Parameters
    ----------
    head
        Name of the class in transformers, such as ``BertForSequenceClassification``.
    labels
        Names of the outputs.
    loss
        Of logits and targets.
    problem
        ``problem_type`` of the configuration, "" for none.
    """

    head: str
    labels: tuple[str, ...]
    loss: Loss
    problem: str = ""


def fit_tokenizer(texts: Sequence[str], shape: Shape) -> Tokenizer:
    """Make a WordPiece tokenizer (Schuster & Nakajima, ICASSP 2012, 5149-5152) in the manner of BERT, lower case.

    The library's own trainer breaks ties by the order of a hash table, so that no two runs agree; :func:`vocabulary`
    always gives the same.
    """
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in texts:
        plain = normalizer.normalize_str(text.replace(MASK, " "))
        counts.update(word for word, _ in splitter.pre_tokenize_str(plain))
    tokens = {token: at for at, token in enumerate(vocabulary(counts, shape.vocabulary))}
    tokenizer = Tokenizer(models.WordPiece(tokens, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(list(SPECIAL))
    ends = [(token, tokens[token]) for token in (START, END)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=ends)
    tokenizer.enable_truncation(shape.window)
    return tokenizer


def vocabulary(counts: Counter[str], size: int) -> list[str]:
    """Choose word pieces: every character, then the most frequent words, then beginnings and ends of words.

    Half of what the characters leave goes to whole words that stand twice or more; ties are broken by the alphabet.
    """
    characters = sorted({character for word in counts for character in word})
    chosen = dict.fromkeys([*SPECIAL, *characters, *(f"##{character}" for character in characters)])
    pieces: Counter[str] = Counter()
    for word, number in counts.items():
        for length in range(2, min(_LONGEST_PIECE, len(word) - 1) + 1):
            pieces[word[:length]] += number
            pieces[f"##{word[-length:]}"] += number
    words = Counter({word: number for word, number in counts.items() if number > 1})
    room = max(0, size - len(chosen))
    for source, limit in ((words, len(chosen) + room // 2), (pieces, len(chosen) + room)):
        for token in sorted(source, key=lambda token: (-source[token], token)):
            if len(chosen) >= limit:
                break
            chosen[token] = None
    return list(chosen)


def build(tokenizer: Tokenizer, task: Task, shape: Shape) -> Any:
    """Give a network with random weights; seed torch before."""
    import transformers

    config = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=4 * shape.hidden,
        max_position_embeddings=shape.window,
        hidden_dropout_prob=shape.dropout,
        attention_probs_dropout_prob=shape.dropout,
        initializer_range=shape.hidden**-0.5,  # BERT's 0.02 suits its 768; narrow layers hardly learn from so little
        pad_token_id=tokenizer.token_to_id(PADDING),
        id2label=dict(enumerate(task.labels)),
        label2id={label: at for at, label in enumerate(task.labels)},
        problem_type=cast(Any, task.problem or None),
    )
    return getattr(transformers, task.head)(config)


def fit(
    tokenizer: Tokenizer,
    texts: Sequence[Encoding],
    targets: Sequence[Tensor],
    task: Task,
    shape: Shape,
    *,
    seed: int,
    progress: str = "",
) -> Any:
    """Train a network from scratch.

    Parameters
    ----------
    texts
        Encoded with ``tokenizer``.
    targets
        Of one text each; targets of tokens are padded with :data:`IGNORED`.
    seed
        Of weights, dropout and order.
    progress
        What the bar is called; "" for none.
    """
    torch.manual_seed(seed)
    network = build(tokenizer, task, shape)
    optimiser = torch.optim.AdamW(network.parameters(), lr=shape.learning_rate, weight_decay=0.01)
    steps = shape.epochs * math.ceil(len(texts) / shape.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
    network.train()
    batches = _batches(texts, targets, shape, network.config.pad_token_id, random.Random(seed))  # noqa: S311  order only
    console = Console(stderr=True)  # what is told on stdout stays readable to a script
    for tokens, mask, wanted in track(batches, progress, total=steps, console=console, disable=not progress):
        with torch.autocast("cpu", torch.bfloat16):  # processors with such units compute it faster
            logits = network(input_ids=tokens, attention_mask=mask).logits
        loss = task.loss(logits.float(), wanted)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return network.eval()


def _rate(step: int, steps: int) -> float:
    warmup = max(1, steps // 10)
    return min((step + 1) / warmup, max(0.0, (steps - step) / max(1, steps - warmup)))


def _batches(
    texts: Sequence[Encoding], targets: Sequence[Tensor], shape: Shape, padding: int, order: random.Random
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield batches of texts of similar length, in an order that is new in every epoch."""
    for _ in range(shape.epochs):
        shuffled = sorted(range(len(texts)), key=lambda at: (len(texts[at].ids) // 8, order.random()))
        chunks = [shuffled[begin : begin + shape.batch] for begin in range(0, len(shuffled), shape.batch)]
        order.shuffle(chunks)
        for chunk in chunks:
            yield _batch([texts[at] for at in chunk], [targets[at] for at in chunk], padding)


def _batch(texts: Sequence[Encoding], targets: Sequence[Tensor], padding: int) -> tuple[Tensor, Tensor, Tensor]:
    pad = torch.nn.utils.rnn.pad_sequence
    tokens = pad([torch.tensor(text.ids) for text in texts], batch_first=True, padding_value=padding)
    mask = pad([torch.ones(len(text.ids), dtype=torch.long) for text in texts], batch_first=True)
    if targets[0].ndim == 1 and targets[0].dtype == torch.long:
        return tokens, mask, pad(list(targets), batch_first=True, padding_value=IGNORED)
    return tokens, mask, torch.stack(list(targets))


def kind_loss(weights: Sequence[float]) -> Loss:
    """Give the cross-entropy of one kind a text, kinds weighted."""
    weight = torch.tensor(weights)
    return lambda logits, wanted: functional.cross_entropy(logits, wanted, weight=weight, label_smoothing=0.05)


def token_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Give the cross-entropy of the label of each word's first token."""
    return functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED)


def property_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Give the binary cross-entropy of properties that hold independently; NaN where nobody said."""
    known = ~torch.isnan(wanted)
    losses = functional.binary_cross_entropy_with_logits(logits, torch.nan_to_num(wanted), reduction="none")
    return losses[known].mean()


def balanced(counts: Mapping[str, int], power: float = 0.5) -> list[float]:
    """Give weights of kinds, inverse to a power of their counts, that average to one over the texts."""
    raw = {kind: number**-power for kind, number in counts.items()}
    scale = sum(counts.values()) / sum(raw[kind] * number for kind, number in counts.items())
    return [raw[kind] * scale for kind in counts]


def save(network: Any, tokenizer: Tokenizer, folder: Path) -> None:
    """Write ``config.json``, ``model.safetensors`` and ``tokenizer.json`` as Hugging Face does."""
    from transformers.utils import logging

    folder.mkdir(parents=True, exist_ok=True)
    with quiet(logging):
        network.save_pretrained(folder)
    tokenizer.no_truncation()
    tokenizer.save(str(folder / TOKENIZER))
