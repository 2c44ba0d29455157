"""Language models that predict each token from those before it; a subclass is an entry of KINDS."""

from typing import Iterator, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asrkit.config import NeuralLmConfig
from asrkit.lm.tokeniser import Sentences, Tokeniser
from asrkit.lm.tokens import END_ID, START_ID, UNKNOWN_ID

LARGEST_OUTPUT = 16_000_000  # values held at once when scoring: sentences * tokens * words


class CausalLm(nn.Module):
    """Embedding, a network between, and an output with the embedding's weights (Press and Wolf 2017)."""

    batch_sentences = 8  # per training step; 32 learn too little in ten epochs on AN4

    def __init__(self, config: NeuralLmConfig, tokeniser: Tokeniser) -> None:
        super().__init__()
        self.tokeniser = tokeniser
        self.embedding = nn.Embedding(len(tokeniser.ids), config.dim)
        nn.init.normal_(self.embedding.weight, std=config.dim**-0.5)  # logits of about 1
        self.dropout = nn.Dropout(config.dropout)
        self.bias = nn.Parameter(torch.zeros(len(tokeniser.ids)))

    def read(self, x: Tensor) -> Tensor:
        """Embedded tokens (sentence, token, dim) to the same shape; an output sees no later input."""
        raise NotImplementedError

    def forward(self, tokens: Tensor) -> Tensor:
        """Token ids (sentence, token) to log-probabilities (sentence, token, vocabulary) of the next one."""
        hidden = self.read(self.dropout(self.embedding(tokens)))
        return F.log_softmax(F.linear(self.dropout(hidden), self.embedding.weight, self.bias), dim=-1)

    def predict(self, sentences: Sentences) -> Tuple[Tensor, Tensor]:
        """Log-probabilities (sentence, word) of each sentence's words and end, padded with 0; and a mask
        (sentence, word) of ends and in-vocabulary words."""
        encoded = [self.tokeniser.row(words) for words in sentences]
        rows = [torch.tensor(row.ids) for row in encoded]
        follow = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=END_ID)
        lengths = torch.tensor([len(row) for row in rows])
        inside = torch.arange(follow.shape[1]) < lengths[:, None]
        read = F.pad(follow[:, :-1], (1, 0), value=START_ID)
        log_probs = self(read).gather(-1, follow[..., None]).squeeze(-1) * inside
        known = inside & (follow != UNKNOWN_ID)
        if self.tokeniser.spellings is None:
            return log_probs, known
        words = [torch.tensor(row.words) for row in encoded]
        place = nn.utils.rnn.pad_sequence(words, batch_first=True)  # padding adds 0 to the first word
        shape = (len(sentences), 1 + max(map(len, sentences)))
        sums = torch.zeros(shape).scatter_add(1, place, log_probs)
        return sums, torch.zeros(shape).scatter_add(1, place, known.float()) > 0

    def loss(self, sentences: Sentences) -> Tensor:
        """Mean negative log-probability per word and end."""
        log_probs, _ = self.predict(sentences)
        return -log_probs.sum() / sum(len(words) + 1 for words in sentences)

    @torch.no_grad()
    def score(self, sentences: Sentences) -> Iterator[Tuple[Tensor, Tensor]]:
        """What predict gives, in batches that fit in memory."""
        longest = max(len(self.tokeniser.row(words).ids) for words in sentences)
        step = max(1, LARGEST_OUTPUT // (longest * len(self.tokeniser.ids)))
        for first in range(0, len(sentences), step):
            yield self.predict(sentences[first : first + step])
