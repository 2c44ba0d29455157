"""Neural language models over words, and the interface that they share.

A new kind is a subclass of NeuralLm with an entry in KINDS; NeuralLmConfig has its settings.

    lstm, residual   log P(<sentence>) = log P(THE | <s>) + log P(CAT | <s> THE) + log P(</s> | <s> THE CAT)
    masked           log P(THE | <s> _ CAT </s>) + log P(CAT | <s> THE _ </s>): the pseudo-log-likelihood
"""

import math
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple, Type

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asrkit.config import NeuralLmConfig
from asrkit.lm.tokens import END_ID, SPECIAL_WORDS, START_ID, UNKNOWN_ID
from asrkit.storage.tensors import load_module, save_tensors

SEED = 1
BATCH_SENTENCES = 8  # per training step; 32 learn too little in ten epochs on AN4
GRADIENT_CLIP = 1.0  # total 2-norm
LARGEST_OUTPUT = 16_000_000  # values held at once when scoring: sentences * tokens * words
TOKENS_AT_ONCE = 8192  # of masked copies, in one batch
IGNORED = -1  # in targets

Sentences = Sequence[Sequence[str]]
# Natural log-probabilities (sentence,) of word sequences with their ends: all that rescoring needs of a model
SentenceScorer = Callable[[Sentences], np.ndarray]


class NeuralLm(nn.Module):
    """Base of the kinds: words, and tied input and output embeddings (Press and Wolf 2017)."""

    def __init__(self, config: NeuralLmConfig, vocabulary: Sequence[str], more_inputs: int = 0) -> None:
        """`vocabulary`: as in asrkit.lm.tokens, with <unk>, <s> and </s> first."""
        super().__init__()
        self.ids: Dict[str, int] = {word: index for index, word in enumerate(vocabulary)}
        self.embedding = nn.Embedding(len(vocabulary) + more_inputs, config.dim)
        nn.init.normal_(self.embedding.weight, std=config.dim**-0.5)  # logits of about 1

    def loss(self, sentences: Sentences) -> Tensor:
        """Mean negative log-probability of what the model predicts of the sentences."""
        raise NotImplementedError

    def score(self, sentences: Sentences) -> Iterator[Tuple[Tensor, Tensor]]:
        """In batches that fit in memory, log-probabilities (sentence, token), 0 in padding; and a mask
        (sentence, token) of the tokens that count in the perplexity: no out-of-vocabulary words."""
        raise NotImplementedError

    def _padded(self, sentences: Sentences) -> Tuple[Tensor, Tensor]:
        """Ids (sentence, token) of the words and the end, padded with the end; and a mask of tokens."""
        ids = [[*(self.ids.get(word, UNKNOWN_ID) for word in words), END_ID] for words in sentences]
        rows = [torch.tensor(row) for row in ids]
        padded = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=END_ID)
        lengths = torch.tensor([len(row) for row in rows])
        return padded, torch.arange(padded.shape[1]) < lengths[:, None]


class CausalLm(NeuralLm):
    """Base of models that predict the next word; forward gives the hidden states for that."""

    def forward(self, read: Tensor) -> Tensor:
        """Word ids (sentence, token) to log-probabilities (sentence, token, word) of the next word."""
        return F.log_softmax(F.linear(self.encode(read), self.embedding.weight, self.bias), dim=-1)

    def encode(self, read: Tensor) -> Tensor:
        """Word ids (sentence, token) to states (sentence, token, dim), none of which sees later words."""
        raise NotImplementedError

    def predict(self, sentences: Sentences) -> Tuple[Tensor, Tensor]:
        """Log-probabilities (sentence, token) of each sentence's words and end, padded with 0; and a mask
        (sentence, token) of ends and in-vocabulary words."""
        follow, inside = self._padded(sentences)
        read = F.pad(follow[:, :-1], (1, 0), value=START_ID)
        log_probs = self(read).gather(-1, follow[..., None]).squeeze(-1) * inside
        return log_probs, inside & (follow != UNKNOWN_ID)

    def loss(self, sentences: Sentences) -> Tensor:
        """Per word and end."""
        log_probs, _ = self.predict(sentences)
        return -log_probs.sum() / sum(len(words) + 1 for words in sentences)

    def score(self, sentences: Sentences) -> Iterator[Tuple[Tensor, Tensor]]:
        """As predict."""
        longest = 1 + max(map(len, sentences))
        step = max(1, LARGEST_OUTPUT // (longest * len(self.ids)))
        for first in range(0, len(sentences), step):
            yield self.predict(sentences[first : first + step])


class LstmLm(CausalLm):
    """LSTM over words."""

    def __init__(self, config: NeuralLmConfig, vocabulary: Sequence[str]) -> None:
        super().__init__(config, vocabulary)
        between = config.dropout if config.layers != 1 else 0.0
        self.lstm = nn.LSTM(config.dim, config.dim, config.layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(config.dropout)
        self.bias = nn.Parameter(torch.zeros(len(vocabulary)))

    def encode(self, read: Tensor) -> Tensor:
        """Word ids (sentence, token) to states (sentence, token, dim)."""
        hidden, _ = self.lstm(self.dropout(self.embedding(read)))
        dropped: Tensor = self.dropout(hidden)
        return dropped


class ResidualLm(CausalLm):
    """Gated convolutions over the words so far, with residual connections (Dauphin et al. 2017).

    Layer normalisation before each convolution instead of the paper's weight normalisation.
    """

    def __init__(self, config: NeuralLmConfig, vocabulary: Sequence[str]) -> None:
        super().__init__(config, vocabulary)
        layers, dim = config.layers or 0, config.dim
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(layers))
        self.convolutions = nn.ModuleList(nn.Conv1d(dim, 2 * dim, config.kernel) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(config.dropout)
        self.bias = nn.Parameter(torch.zeros(len(vocabulary)))
        self.before = config.kernel - 1

    def encode(self, read: Tensor) -> Tensor:
        """Word ids (sentence, token) to states (sentence, token, dim)."""
        x = self.dropout(self.embedding(read))
        for norm, convolution in zip(self.norms, self.convolutions):
            channels = F.pad(norm(x).transpose(1, 2), (self.before, 0))  # (sentence, dim, token): causal
            x = x + self.dropout(F.glu(convolution(channels), dim=1).transpose(1, 2))
        dropped: Tensor = self.dropout(self.norm(x))
        return dropped


class MaskedLm(NeuralLm):
    """Transformer encoder that predicts masked words (Devlin et al. 2019, BERT).

    A sentence's score is its pseudo-log-likelihood (Salazar et al. 2020). Words are whole tokens, so the rest
    of a masked word (Kauf and Ivanova 2023) is masked in any case. The end is not predicted.
    """

    def __init__(self, config: NeuralLmConfig, vocabulary: Sequence[str]) -> None:
        super().__init__(config, vocabulary, more_inputs=1)
        self.mask_id, self.share = len(vocabulary), config.mask_share
        layer = nn.TransformerEncoderLayer(
            config.dim,
            config.heads,
            4 * config.dim,
            config.dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.encoder = nn.TransformerEncoder(layer, config.layers or 0, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(config.dim)
        self.dropout = nn.Dropout(config.dropout)
        self.bias = nn.Parameter(torch.zeros(len(vocabulary)))

    def forward(self, read: Tensor, inside: Tensor, at: Tensor) -> Tensor:
        """Log-probabilities (masked, word) at the positions `at` (sentence, token) that are true.

        `read`: ids (sentence, token) with some masked; `inside`: of the same shape, false in padding. The
        output layer computes these positions only.
        """
        x = self.embedding(read)
        x = self.dropout(x + _positions(x.shape[1], x.shape[2]))
        states = self.norm(self.encoder(x, src_key_padding_mask=~inside)[at])
        return F.log_softmax(F.linear(states, self.embedding.weight[: self.mask_id], self.bias), dim=-1)

    def _read(self, sentences: Sentences) -> Tuple[Tensor, Tensor, Tensor]:
        """Ids with <s> and </s> (sentence, token), a mask of tokens, and one of words."""
        padded, inside = self._padded(sentences)
        read, inside = F.pad(padded, (1, 0), value=START_ID), F.pad(inside, (1, 0), value=True)
        return read, inside, inside & (read != START_ID) & (read != END_ID)

    def loss(self, sentences: Sentences) -> Tensor:
        """Per masked word: 80 % of them are masked, 10 % another word, and 10 % stay, as in BERT."""
        read, inside, words = self._read(sentences)
        chosen = words & (torch.rand(read.shape) < self.share)
        draw = torch.rand(read.shape)
        masked = read.masked_fill(chosen & (draw < 0.8), self.mask_id)
        other = torch.randint(len(SPECIAL_WORDS) - 1, self.mask_id, read.shape)
        masked = torch.where(chosen & (draw > 0.9), other, masked)
        log_probs = self(masked, inside, chosen).gather(1, read[chosen][:, None])
        return -log_probs.sum() / max(1, len(log_probs))

    def score(self, sentences: Sentences) -> Iterator[Tuple[Tensor, Tensor]]:
        """All sentences at once, each word masked in a copy of its own; copies of a length together."""
        read, inside, words = self._read(sentences)
        rows, places = words.nonzero(as_tuple=True)  # (copy,) each, in the order of the sentences
        lengths = inside.sum(dim=1)
        order = lengths[rows].argsort(stable=True)
        log_probs = torch.zeros(read.shape)
        step = max(1, min(TOKENS_AT_ONCE // read.shape[1], LARGEST_OUTPUT // len(self.ids)))
        for first in range(0, len(order), step):
            copies = order[first : first + step]
            row, place = rows[copies], places[copies]
            width = int(lengths[row].max())
            at = F.one_hot(place, width).bool()
            masked = read[row][:, :width].masked_fill(at, self.mask_id)
            predicted = self(masked, inside[row][:, :width], at)
            log_probs[row, place] = predicted.gather(1, read[row, place][:, None]).squeeze(1)
        yield log_probs, words & (read != UNKNOWN_ID)


def _positions(tokens: int, dim: int) -> Tensor:
    """Sines and cosines (token, dim) of positions (Vaswani et al. 2017), as long as the embeddings are."""
    angles = torch.arange(tokens)[:, None] * torch.exp(torch.arange(0, dim, 2) * (-math.log(10000.0) / dim))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :dim] * dim**-0.5


KINDS: Dict[str, Type[NeuralLm]] = {"lstm": LstmLm, "residual": ResidualLm, "masked": MaskedLm}


def make_neural_scorer(file: Path) -> SentenceScorer:
    """Score sentences with the model that train_neural wrote; OOV words are <unk>."""

    def build(about: Dict[str, Any]) -> NeuralLm:
        vocabulary = msgspec.convert(about["vocabulary"], List[str])
        config = msgspec.convert(about["neural"], NeuralLmConfig)
        return KINDS[config.kind](config, vocabulary)

    @torch.no_grad()
    def score(sentences: Sentences) -> np.ndarray:
        sums = [log_probs.double().sum(dim=1) for log_probs, _ in model.score(sentences)]
        return torch.cat(sums).numpy()

    model: NeuralLm = load_module(file, build, "a language model", stage="lm")[0]
    return score


def train_neural(config: NeuralLmConfig, sentences: Sequence[str], dev: Sequence[str], file: Path) -> float:
    """Train on `sentences`, write the model of the epoch with the lowest perplexity on `dev`, and return it.

    The perplexity is over in-vocabulary words and, but of the masked kind, ends, like perplexity_known of an
    n-gram; of the masked kind it is the pseudo-perplexity. With the same number of threads, the same text
    gives the same bytes.
    """
    torch.manual_seed(SEED)
    vocabulary = list(dict.fromkeys([*SPECIAL_WORDS, *(word for text in sentences for word in text.split())]))
    model = KINDS[config.kind](config, vocabulary)
    split = sorted((sentence.split() for sentence in sentences), key=len)  # similar lengths together
    batches = [split[first : first + BATCH_SENTENCES] for first in range(0, len(split), BATCH_SENTENCES)]
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    steps = config.epochs * len(batches)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    best, kept = math.inf, model.state_dict()
    for epoch in range(1, config.epochs + 1):
        model.train()
        for index in torch.randperm(len(batches)).tolist():
            loss = model.loss(batches[index])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_CLIP)
            optimizer.step()
            schedule.step()
        perplexity = _perplexity(model.eval(), [sentence.split() for sentence in dev])
        print(f"lm: neural, epoch {epoch} of {config.epochs}: perplexity {perplexity:.2f} on dev", flush=True)
        if perplexity < best:
            best, kept = perplexity, {name: value.clone() for name, value in model.state_dict().items()}
    save_tensors(file, kept, {"neural": msgspec.to_builtins(config), "vocabulary": vocabulary})
    return best


@torch.no_grad()
def _perplexity(model: NeuralLm, sentences: Sentences) -> float:
    total, tokens = 0.0, 0
    for log_probs, known in model.score(sentences):
        total += float(log_probs[known].double().sum())
        tokens += int(known.sum())
    return math.exp(-total / tokens)
