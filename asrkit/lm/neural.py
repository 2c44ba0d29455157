"""Neural language models: the table of kinds, their training, and the interface that rescoring needs."""

import math
import os
import random
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import msgspec
import numpy as np
import torch
from torch import nn

from asrkit.config import NeuralLmConfig
from asrkit.errors import UserError
from asrkit.lm.lstm import LstmLm
from asrkit.lm.masked import MaskedLm
from asrkit.lm.pretrained import PretrainedLm
from asrkit.lm.residual import ResidualLm
from asrkit.lm.tokeniser import Sentences, Tokeniser
from asrkit.lm.tokens import SPECIAL_WORDS
from asrkit.storage.files import remove
from asrkit.storage.fingerprint import hash_file, hash_value
from asrkit.storage.tensors import load_module, load_tensors, read_metadata, save_tensors

SEED = 1
GRADIENT_CLIP = 1.0  # total 2-norm
PRETRAINED_FILES = (".json", ".txt", ".model", ".safetensors")  # suffixes of files that transformers reads

# By lm.neural.kind. A model gives loss(sentences) of a batch, and score(sentences): log-probabilities
# (sentence, word) and a mask of those that perplexity counts, in batches
KINDS: Dict[str, Callable[[NeuralLmConfig, Tokeniser], Any]] = {
    "lstm": LstmLm,
    "residual": ResidualLm,
    "masked": MaskedLm,
}
# Natural log-probabilities (sentence,) of word sequences: all that rescoring needs of a model
SentenceScorer = Callable[[Sentences], np.ndarray]
Spellings = Mapping[str, Sequence[str]]


def make_model(about: Mapping[str, Any]) -> nn.Module:
    """An untrained model of a file's metadata."""
    config = msgspec.convert(about["neural"], NeuralLmConfig)
    spellings = msgspec.convert(about.get("spellings"), Optional[Dict[str, List[str]]])
    model: nn.Module = KINDS[config.kind](
        config, Tokeniser(msgspec.convert(about["vocabulary"], List[str]), spellings)
    )
    return model


def load_neural(file: Path, folder: Optional[Path] = None) -> Any:
    """Load the model that train_neural or write_pretrained wrote; raises UserError for other files.

    `folder`: for a pretrained model, the folder that lm.neural.path names now.
    """
    about = read_metadata(file)
    if isinstance(about.get("folder"), str) or isinstance(about.get("path"), str):
        return PretrainedLm(_pretrained_folder(file, about, folder), lower=about.get("lower") is True)
    return load_module(file, make_model, "a language model", stage="lm")[0]


def make_neural_scorer(file: Path, folder: Optional[Path] = None) -> SentenceScorer:
    """Score sentences with a model of stage lm; OOV words are <unk>. For `folder` see load_neural."""
    return scorer_of(load_neural(file, folder), where=str(file))


def scorer_of(model: Any, where: str = "the neural language model") -> SentenceScorer:
    """Score sentences with a model of load_neural; raises UserError for scores that aren't finite.

    Comparisons with NaN are false, so the first hypothesis of each n-best list would win.
    """

    def score(sentences: Sentences) -> np.ndarray:
        sums = [log_probs.double().sum(dim=1) for log_probs, _ in model.score(sentences)]
        scores: np.ndarray = torch.cat(sums).numpy()
        if not np.isfinite(scores).all():
            some = " ".join(sentences[int(np.flatnonzero(~np.isfinite(scores))[0])])
            found, todo = f"the score of {some[:60]!r} is not finite", "run.sh --stage lm retrains it"
            raise UserError(found, "finite log-probabilities: the model may have diverged", where, todo)
        return scores

    return score


def train_neural(
    config: NeuralLmConfig,
    sentences: Sequence[str],
    dev: Sequence[str],
    file: Path,
    spellings: Optional[Spellings] = None,
) -> float:
    """Train on `sentences`, write the model of the epoch with the lowest perplexity on `dev`, and return it.

    The perplexity is over in-vocabulary words and ends, like perplexity_known of an n-gram; of a masked
    model it is the pseudo-perplexity per word. `spellings`: tokens by word, None: a token per word. With the
    same number of threads, the same text gives the same bytes; an interrupted training resumes at its last
    epoch.
    """
    torch.manual_seed(SEED)
    if config.sentences is not None and config.sentences < len(sentences):
        print(f"lm: neural, {config.sentences:,} of {len(sentences):,} sentences, drawn at random")
        sentences = random.Random(SEED).sample(sentences, config.sentences)
    words = [word for text in sentences for word in text.split()]
    tokens = words if spellings is None else [token for word in words for token in spellings.get(word, [])]
    tokeniser = Tokeniser(list(dict.fromkeys([*SPECIAL_WORDS, *tokens])), spellings)
    model = KINDS[config.kind](config, tokeniser)
    split = sorted((sentence.split() for sentence in sentences), key=len)  # similar lengths together
    size = config.batch_sentences or model.batch_sentences
    batches = [split[first : first + size] for first in range(0, len(split), size)]
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    about = {"neural": msgspec.to_builtins(config), **tokeniser.about}
    state = TrainingState(file, model, optimizer, made_of=hash_value([about, list(sentences), list(dev)]))
    steps = config.epochs * len(batches)
    for epoch in range(state.epoch + 1, config.epochs + 1):
        model.train()
        for number, index in enumerate(torch.randperm(len(batches)).tolist()):
            optimizer.param_groups[0]["lr"] = config.learning_rate * (
                1 - ((epoch - 1) * len(batches) + number) / steps
            )
            optimizer.zero_grad()
            model.loss(batches[index]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_CLIP)
            optimizer.step()
        perplexity = measure_perplexity(model.eval(), dev)
        if not math.isfinite(state.best):  # no earlier epoch can be used instead
            _refuse_diverged(model, batches[-1], perplexity, f"lm.{file.stem}.learning_rate", config)
        print(f"lm: neural, epoch {epoch} of {config.epochs}: perplexity {perplexity:.2f} on dev", flush=True)
        state.save(epoch, perplexity)
    save_tensors(file, state.kept, about)
    state.file.unlink()
    return state.best


def _refuse_diverged(
    model: Any, batch: Sentences, perplexity: float, setting: str, config: NeuralLmConfig
) -> None:
    """Raise UserError if the perplexity on dev or on a training batch isn't finite.

    A batch is needed because dev may have no in-vocabulary word, which makes its perplexity 1.
    """
    perplexity += measure_perplexity(model, [" ".join(words) for words in batch])
    if not math.isfinite(perplexity):
        found = f"the neural language model diverged with {setting} {config.learning_rate:g}"
        todo = f"--set {setting}={min(3e-3, config.learning_rate / 3):.1g}"
        raise UserError(found, f"a finite perplexity, not {perplexity:g}", setting, todo)


class _Stored(NamedTuple):
    model: Dict[str, torch.Tensor]
    kept: Dict[str, torch.Tensor]
    adam: List[Dict[str, torch.Tensor]]  # in the order of the model's parameters
    random: torch.Tensor  # state of torch's generator
    epoch: int
    best: float


class TrainingState:
    """The state of a training after an epoch, in a file beside the model's.

    It is resumed if text and settings are the same. A damaged file is reported and deleted, and training
    starts from the beginning.
    """

    def __init__(self, model_file: Path, model: nn.Module, optimizer: torch.optim.Adam, made_of: str) -> None:
        self.file = model_file.with_name(f"{model_file.name}.training")
        self.model, self.optimizer, self.made_of = model, optimizer, made_of
        self.epoch, self.best = 0, math.inf
        self.kept: Dict[str, torch.Tensor] = model.state_dict()
        stored = self._read() if os.path.lexists(self.file) else None
        if stored is not None:
            self._restore(stored)

    def save(self, epoch: int, perplexity: float) -> None:
        """Keep the model if it is the best so far, and write all that the next epoch depends on."""
        self.epoch = epoch
        if perplexity < self.best:
            self.best = perplexity
            self.kept = {name: value.clone() for name, value in self.model.state_dict().items()}
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors.update({f"kept.{name}": value.clone() for name, value in self.kept.items()})
        for place, parameter in enumerate(self.model.parameters()):
            for name, value in self.optimizer.state[parameter].items():
                tensors[f"adam.{place}.{name}"] = torch.as_tensor(value)
        tensors["random"] = torch.get_rng_state()
        best = self.best if math.isfinite(self.best) else None
        save_tensors(self.file, tensors, {"made_of": self.made_of, "epoch": epoch, "best": best})

    def _read(self) -> Optional[_Stored]:
        """Read the file; None if it belongs to another training or is damaged. The model isn't changed."""
        try:
            tensors, about = load_tensors(self.file)
            return self._parse(tensors, about) if about.get("made_of") == self.made_of else None
        except (UserError, KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            print(f"lm: neural, damaged training state ({reason}): starting over", flush=True)
            remove(self.file)
            return None

    def _parse(self, tensors: Dict[str, torch.Tensor], about: Mapping[str, Any]) -> _Stored:
        """Check what was read against the model; raises KeyError, TypeError, ValueError or RuntimeError."""
        tensors = {name: value.clone() for name, value in tensors.items()}
        own = self.model.state_dict()
        model, kept = ({name: tensors.pop(f"{part}.{name}") for name in own} for part in ("model", "kept"))
        parameters = list(self.model.parameters())
        adam = [
            {name: tensors.pop(f"adam.{place}.{name}") for name in ("step", "exp_avg", "exp_avg_sq")}
            for place in range(len(parameters))
        ]
        pairs = [(part[name], own[name]) for part in (model, kept) for name in own]
        for values, parameter in zip(adam, parameters):
            pairs += [(values["exp_avg"], parameter), (values["exp_avg_sq"], parameter)]
        if any(stored.shape != needed.shape or stored.dtype != needed.dtype for stored, needed in pairs):
            raise ValueError("its tensors don't fit the model")
        random_state = tensors.pop("random")
        torch.Generator().set_state(random_state)  # raises RuntimeError or TypeError if it is invalid
        epoch, best = msgspec.convert((about["epoch"], about["best"]), Tuple[int, Optional[float]])
        return _Stored(model, kept, adam, random_state, epoch, math.inf if best is None else best)

    def _restore(self, stored: _Stored) -> None:
        self.model.load_state_dict(stored.model)
        for parameter, values in zip(self.model.parameters(), stored.adam):
            self.optimizer.state[parameter] = values
        torch.set_rng_state(stored.random)
        self.kept, self.epoch, self.best = stored.kept, stored.epoch, stored.best
        print(f"lm: neural, resumes after epoch {self.epoch}", flush=True)


def write_pretrained(folder: Path, dev: Sequence[str], file: Path) -> float:
    """Write a file that refers to a folder of a masked language model, and return its pseudo-perplexity.

    If all of dev is in capitals, words are lower-cased, as pretrained models know them.
    """
    lower = all(text == text.upper() for text in dev)
    perplexity = measure_perplexity(PretrainedLm(folder, lower), dev)
    if not math.isfinite(perplexity):
        found = f"the model in {folder} has a pseudo-perplexity of {perplexity:g} on dev"
        raise UserError(found, "a finite one", f"lm.{file.stem}.path", "name the folder of another model")
    place = os.path.relpath(folder, os.path.realpath(file.parent))  # stays valid if the project is moved
    about = {"folder": place, "hash": _hash_pretrained(folder), "lower": lower}
    save_tensors(file, {"none": torch.zeros(1)}, about)
    return perplexity


def _pretrained_folder(file: Path, about: Mapping[str, Any], folder: Optional[Path]) -> Path:
    """Find the folder of a pretrained model: `folder`, or if that is missing the one that the file names.

    Raises UserError if there is none, or if its model isn't the one that stage lm measured. Files of an
    earlier version have an absolute path, and no hash to compare.
    """
    stored = Path(os.path.realpath(file)).parent / (about.get("folder") or about["path"])
    there = [each for each in (folder, stored) if each is not None and each.is_dir()]
    if not there:
        found = f"the folder {folder or stored} of a masked language model is missing"
        todo = f"set lm.{file.stem}.path to where it is now"
        raise UserError(found, "the folder that stage lm measured", f"lm.{file.stem}.path", todo)
    if "folder" in about and _hash_pretrained(there[0]) != about.get("hash"):
        found = f"the model in {there[0]} isn't the one that stage lm measured"
        todo = f"run.sh --stage lm measures it; or set lm.{file.stem}.path to the earlier one"
        raise UserError(found, "the same files", f"lm.{file.stem}.path", todo)
    return there[0]


def _hash_pretrained(folder: Path) -> str:
    """Fingerprint of the files of a pretrained model, including its tokeniser."""
    files = sorted(file for file in folder.iterdir() if file.suffix in PRETRAINED_FILES and file.is_file())
    return hash_value([[file.name, hash_file(file)] for file in files])


def measure_perplexity(model: Any, dev: Sequence[str]) -> float:
    """Perplexity over the words that the model knows, and over ends if it predicts them.

    It is infinite or NaN if the model diverged.
    """
    total, tokens = 0.0, 0
    for log_probs, known in model.score([text.split() for text in dev]):
        total += float(log_probs[known].double().sum())
        tokens += int(known.sum())
    try:
        return math.exp(-total / max(1, tokens))
    except OverflowError:
        return math.inf
