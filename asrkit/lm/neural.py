"""A small LSTM language model over words, and the interface that any neural language model shares."""

import math
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

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

Sentences = Sequence[Sequence[str]]
# Natural log-probabilities (sentence,) of word sequences with their ends: all that rescoring needs of a model
SentenceScorer = Callable[[Sentences], np.ndarray]


class NeuralLm(nn.Module):
    """LSTM over words with tied input and output embeddings (Press and Wolf 2017)."""

    def __init__(self, config: NeuralLmConfig, vocabulary: Sequence[str]) -> None:
        """`vocabulary`: as in asrkit.lm.tokens, with <unk>, <s> and </s> first."""
        super().__init__()
        self.ids: Dict[str, int] = {word: index for index, word in enumerate(vocabulary)}
        self.embedding = nn.Embedding(len(vocabulary), config.dim)
        nn.init.normal_(self.embedding.weight, std=config.dim**-0.5)  # logits of about 1
        between = config.dropout if config.layers != 1 else 0.0
        self.lstm = nn.LSTM(config.dim, config.dim, config.layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(config.dropout)
        self.bias = nn.Parameter(torch.zeros(len(vocabulary)))

    def forward(self, read: Tensor) -> Tensor:
        """Word ids (sentence, token) to log-probabilities (sentence, token, word) of the next word."""
        hidden, _ = self.lstm(self.dropout(self.embedding(read)))
        return F.log_softmax(F.linear(self.dropout(hidden), self.embedding.weight, self.bias), dim=-1)

    def predict(self, sentences: Sentences) -> Tuple[Tensor, Tensor]:
        """Log-probabilities (sentence, token) of each sentence's words and end, padded with 0; and a mask
        (sentence, token) of ends and in-vocabulary words."""
        ids = [[*(self.ids.get(word, UNKNOWN_ID) for word in words), END_ID] for words in sentences]
        rows = [torch.tensor(row) for row in ids]
        follow = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=END_ID)
        lengths = torch.tensor([len(row) for row in rows])
        inside = torch.arange(follow.shape[1]) < lengths[:, None]
        read = F.pad(follow[:, :-1], (1, 0), value=START_ID)
        log_probs = self(read).gather(-1, follow[..., None]).squeeze(-1) * inside
        return log_probs, inside & (follow != UNKNOWN_ID)


@torch.no_grad()
def _score_batches(model: NeuralLm, sentences: Sentences) -> Iterator[Tuple[Tensor, Tensor]]:
    """NeuralLm.predict in batches that fit in memory."""
    longest = 1 + max(map(len, sentences))
    step = max(1, LARGEST_OUTPUT // (longest * len(model.ids)))
    for first in range(0, len(sentences), step):
        yield model.predict(sentences[first : first + step])


def make_neural_scorer(file: Path) -> SentenceScorer:
    """Score sentences with the model that train_neural wrote; OOV words are <unk>."""

    def build(about: Dict[str, Any]) -> NeuralLm:
        vocabulary = msgspec.convert(about["vocabulary"], List[str])
        return NeuralLm(msgspec.convert(about["neural"], NeuralLmConfig), vocabulary)

    def score(sentences: Sentences) -> np.ndarray:
        sums = [log_probs.double().sum(dim=1) for log_probs, _ in _score_batches(model, sentences)]
        return torch.cat(sums).numpy()

    model: NeuralLm = load_module(file, build, "a language model", stage="lm")[0]
    return score


def train_neural(config: NeuralLmConfig, sentences: Sequence[str], dev: Sequence[str], file: Path) -> float:
    """Train on `sentences`, write the model of the epoch with the lowest perplexity on `dev`, and return it.

    The perplexity is over in-vocabulary words and ends, like perplexity_known of an n-gram. With the same
    number of threads, the same text gives the same bytes.
    """
    torch.manual_seed(SEED)
    vocabulary = list(dict.fromkeys([*SPECIAL_WORDS, *(word for text in sentences for word in text.split())]))
    model = NeuralLm(config, vocabulary)
    split = sorted((sentence.split() for sentence in sentences), key=len)  # similar lengths together
    batches = [split[first : first + BATCH_SENTENCES] for first in range(0, len(split), BATCH_SENTENCES)]
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    steps = config.epochs * len(batches)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    best, kept = math.inf, model.state_dict()
    for epoch in range(1, config.epochs + 1):
        model.train()
        for index in torch.randperm(len(batches)).tolist():
            log_probs, _ = model.predict(batches[index])
            optimizer.zero_grad()
            (-log_probs.sum() / sum(len(words) + 1 for words in batches[index])).backward()
            nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_CLIP)
            optimizer.step()
            schedule.step()
        perplexity = _perplexity(model.eval(), [sentence.split() for sentence in dev])
        print(f"lm: neural, epoch {epoch} of {config.epochs}: perplexity {perplexity:.2f} on dev", flush=True)
        if perplexity < best:
            best, kept = perplexity, {name: value.clone() for name, value in model.state_dict().items()}
    save_tensors(file, kept, {"neural": msgspec.to_builtins(config), "vocabulary": vocabulary})
    return best


def _perplexity(model: NeuralLm, sentences: Sentences) -> float:
    total, tokens = 0.0, 0
    for log_probs, known in _score_batches(model, sentences):
        total += float(log_probs[known].double().sum())
        tokens += int(known.sum())
    return math.exp(-total / tokens)
