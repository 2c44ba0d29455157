"""A masked language model from a folder that Hugging Face's transformers saved: BERT, RoBERTa and others."""

import importlib.util
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from asrkit.errors import UserError
from asrkit.lm.pseudo_likelihood import pseudo_log_probs
from asrkit.lm.tokeniser import NO_WORD, Row, Sentences

CONVERT = (
    'python -c "from transformers import AutoModelForMaskedLM as M; '
    "M.from_pretrained('{0}', local_files_only=True, trust_remote_code=False)"
    ".save_pretrained('{0}', safe_serialization=True)\""
)


def check_transformers() -> None:
    """Raise UserError if transformers isn't installed."""
    if importlib.util.find_spec("transformers") is None:
        old = torch.__version__.startswith("1.")
        todo = f"pip install '{'transformers>=4.46,<4.49' if old else 'transformers>=5'}'"
        expected = f"the extra [bert], for torch {torch.__version__}"
        raise UserError("transformers isn't installed", expected, "lm.neural.path", todo)


class PretrainedLm:
    """Scores words by their word pieces or BPE tokens."""

    def __init__(self, folder: Path, lower: bool = False) -> None:
        """`lower`: lower-case the words. Raises UserError for a folder without config.json or safetensors."""
        check_transformers()
        self.folder, self.lower = folder, lower
        for name, todo in (
            ("config.json", "set lm.neural.path to a folder that save_pretrained wrote"),
            ("model.safetensors", f"if you trust its pickled weights: {CONVERT.format(folder)}"),
        ):
            if not (folder / name).is_file():
                raise UserError(f"no {name} in {folder}", "a model and its tokeniser", "lm.neural.path", todo)
        self._load(folder)
        if not self.tokenizer.is_fast or self.tokenizer.mask_token_id is None:
            found = f"{folder} has no fast tokeniser with a mask token"
            raise UserError(found, "a tokenizer.json of a masked language model", "lm.neural.path")
        self.vocabulary = int(self.model.config.vocab_size)
        self.places = torch.zeros(0, dtype=torch.long)
        self.model.base_model.register_forward_hook(self._take_places)

    def _load(self, folder: Path) -> None:
        """Load the tokeniser and the model; raises UserError if it fails or would run code in the folder."""
        from transformers import AutoModelForMaskedLM, AutoTokenizer

        # Without trust_remote_code=False transformers asks on the terminal whether to run the folder's code
        given: Dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(
                str(folder), use_fast=True, add_prefix_space=True, **given
            )
            self.model: Any = AutoModelForMaskedLM.from_pretrained(
                str(folder), use_safetensors=True, **given
            ).eval()
        except Exception as error:  # of a stranger's files: anything
            if "trust_remote_code" in str(error):
                found = f"{folder} needs its own Python code, which is never run"
                expected = "a masked language model that transformers supports, such as BERT or RoBERTa"
                todo = "set lm.neural.path to such a model"
                raise UserError(found, expected, "lm.neural.path", todo) from None
            found = f"can't load {folder}: {error or type(error).__name__}"
            raise UserError(found, "a masked language model", "lm.neural.path", "check the folder") from None

    def _take_places(self, module: Any, inputs: Any, output: Any) -> Any:
        """Only the masked position of each copy goes on to the vocabulary layer."""
        hidden = output.last_hidden_state
        output.last_hidden_state = hidden[torch.arange(len(hidden)), self.places][:, None]
        return output

    def _predict(self, ids: Tensor, lengths: Tensor, places: Tensor) -> Tensor:
        self.places = places
        inside = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        logits: Tensor = self.model(input_ids=ids, attention_mask=inside).logits[:, 0]
        return F.log_softmax(logits, dim=-1)

    def rows(self, sentences: Sentences) -> List[Row]:
        """Tokens of sentences, special ones too; raises UserError for more than the model has positions."""
        rows = []
        for words in sentences:
            encoded = self._encode([word.lower() if self.lower else word for word in words])
            places = [NO_WORD if word is None else word for word in encoded.word_ids()] if encoded else []
            rows.append(Row(encoded["input_ids"] if encoded else [], places))
        most = int(getattr(self.model.config, "max_position_embeddings", 512)) - 2  # RoBERTa leaves out two
        longest = max(len(row.ids) for row in rows)
        if longest > most:
            found = f"a sentence of {longest} tokens"
            raise UserError(found, f"at most {most}", str(self.folder), "use another model")
        return rows

    def _encode(self, words: Sequence[str]) -> Any:
        """Encode words with at least one token per word; None if there are no words."""
        if not words:
            return None
        encoded = self.tokenizer(words, is_split_into_words=True)
        having = set(encoded.word_ids())
        if having.issuperset(range(len(words))):
            return encoded
        # A normaliser may remove a word, such as a zero-width space; without a token it would cost nothing
        unknown = self.tokenizer.unk_token or self.tokenizer.mask_token
        kept = [word if place in having else unknown for place, word in enumerate(words)]
        return self.tokenizer(kept, is_split_into_words=True)

    @torch.no_grad()
    def score(self, sentences: Sentences) -> Iterator[Tuple[Tensor, Tensor]]:
        """Log-probabilities (sentence, word) of words, padded with 0, and a mask of words it knows."""
        rows, tokenizer = self.rows(sentences), self.tokenizer
        padding = tokenizer.pad_token_id or 0
        scores = torch.from_numpy(
            pseudo_log_probs(rows, tokenizer.mask_token_id, self.vocabulary, padding, self._predict)
        )
        known = torch.zeros(scores.shape, dtype=torch.bool)
        for sentence, row in enumerate(rows):
            for token, word in zip(row.ids, row.words):
                if word != NO_WORD and token != tokenizer.unk_token_id:
                    known[sentence, word] = True
        yield scores, known
