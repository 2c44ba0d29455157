"""A masked language model (Devlin et al. 2019, BERT) of asrkit's encoder blocks, trained in the recipe."""

from typing import Any, Iterator, List, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asrkit.config import ModelConfig, NeuralLmConfig
from asrkit.lm.pseudo_likelihood import pseudo_log_probs
from asrkit.lm.tokeniser import NO_WORD, Row, Sentences, Tokeniser
from asrkit.lm.tokens import END_ID, SPECIAL_WORDS, START_ID, UNKNOWN_ID
from asrkit.model.encoder import AttentionBlock

MASK_ID = START_ID  # sentences are between two </s>, so <s> is free
PART = 4  # times the context, if it is limited: the length of what training reads at once
KEPT, RANDOM = 0.1, 0.1  # of the masked ones: left as they are, and replaced by another token


class MaskedLm(nn.Module):
    """Predicts masked tokens from all others; input and output embeddings are tied."""

    batch_sentences = 32

    def __init__(self, config: NeuralLmConfig, tokeniser: Tokeniser) -> None:
        super().__init__()
        self.tokeniser, self.mask_share, self.context = tokeniser, config.mask_share, config.context
        if config.dim % (2 * config.heads):
            raise ValueError(f"dim {config.dim} with {config.heads} heads")
        block = ModelConfig(
            attention_dim=config.dim,
            attention_heads=config.heads,
            feedforward_dim=4 * config.dim,
            dropout=config.dropout,
        )
        layers: Any = config.layers
        self.embedding = nn.Embedding(len(tokeniser.ids), config.dim)
        nn.init.normal_(self.embedding.weight, std=config.dim**-0.5)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(AttentionBlock(block) for _ in range(layers))
        self.norm = nn.LayerNorm(config.dim)
        self.bias = nn.Parameter(torch.zeros(len(tokeniser.ids)))

    def row(self, words: Sequence[str]) -> Row:
        """A sentence's tokens between two </s>."""
        ids, places = self.tokeniser.row(words)
        return Row([END_ID, *ids], [NO_WORD, *places[:-1], NO_WORD])

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Token ids (sentence, token) to hidden vectors (sentence, token, dim)."""
        x, inside, positions = self._enter(ids, lengths)
        for block in self.blocks:
            x = block(x, inside, positions)
        return x

    def forward_at(self, ids: Tensor, lengths: Tensor, places: Tensor) -> Tensor:
        """Hidden vectors (sentence, dim) at one token of each sentence, `places` (sentence,), in evaluation.

        The last block computes nothing for the other tokens.
        """
        x, inside, positions = self._enter(ids, lengths)
        for block in list(self.blocks)[:-1]:
            x = block(x, inside, positions)
        hidden: Tensor = self.blocks[-1].forward_at(x, places, inside, positions)
        return hidden

    def _enter(self, ids: Tensor, lengths: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Embeddings, which tokens are inside the sentence, and positional encoding."""
        inside = (torch.arange(ids.shape[1]) < lengths[:, None])[:, None, None]
        x = self.dropout(self.embedding(ids))
        return x, inside, self.blocks[0].positions(ids.shape[1], x.device)

    def output(self, hidden: Tensor) -> Tensor:
        """Hidden vectors (token, dim) to logits (token, vocabulary)."""
        return F.linear(self.norm(hidden), self.embedding.weight, self.bias)

    def loss(self, sentences: Sentences) -> Tensor:
        """Mean negative log-probability of randomly masked tokens."""
        rows = [part for words in sentences for part in self._parts(self.row(words))]
        pad = nn.utils.rnn.pad_sequence
        ids = pad([torch.tensor(row.ids) for row in rows], batch_first=True, padding_value=END_ID)
        words = pad([torch.tensor(row.words) for row in rows], batch_first=True, padding_value=NO_WORD)
        drawn = torch.rand(ids.shape).masked_fill(words == NO_WORD, 2.0)
        # As in scoring, the rest of a word too; at least one per sentence
        masked = ((drawn < self.mask_share) | (drawn == drawn.amin(dim=1, keepdim=True))) & (words != NO_WORD)
        for place in range(1, ids.shape[1]):  # to the end of the word
            masked[:, place] |= masked[:, place - 1] & (words[:, place] == words[:, place - 1])
        how = torch.rand(ids.shape)
        other = torch.randint(len(SPECIAL_WORDS), max(len(SPECIAL_WORDS) + 1, len(self.bias)), ids.shape)
        read = torch.where(masked & (how >= KEPT), MASK_ID, ids)
        read = torch.where(masked & (how >= 1 - RANDOM), other, read)
        hidden = self(read, torch.tensor([len(row.ids) for row in rows]))[masked]
        loss = F.cross_entropy(self.output(hidden), ids[masked], reduction="sum")
        return loss / max(1, len(hidden))

    def _parts(self, row: Row) -> List[Row]:
        """A row cut at random places, as scoring reads it: parts begin and end within sentences."""
        if self.context is None:
            return [row]
        length = PART * self.context
        begins = range(-int(torch.randint(length, (1,))), len(row.ids), length)
        ends = [(max(0, begin), begin + length) for begin in begins]
        return [Row(row.ids[begin:end], row.words[begin:end]) for begin, end in ends if end > 0]

    @torch.no_grad()
    def score(self, sentences: Sentences) -> Iterator[Tuple[Tensor, Tensor]]:
        """Log-probabilities (sentence, word) of words, padded with 0, and a mask of in-vocabulary words."""
        rows = [self.row(words) for words in sentences]

        def predict(ids: Tensor, lengths: Tensor, places: Tensor) -> Tensor:
            return F.log_softmax(self.output(self.forward_at(ids, lengths, places)), dim=-1)

        found = pseudo_log_probs(rows, MASK_ID, len(self.bias), END_ID, predict, self.context)
        scores = torch.from_numpy(found)
        known = torch.zeros(scores.shape, dtype=torch.bool)
        for place, words in enumerate(sentences):
            known[place, : len(words)] = torch.tensor(
                [UNKNOWN_ID not in self.tokeniser.spell(word) for word in words], dtype=torch.bool
            )
        yield scores, known
