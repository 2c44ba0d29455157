"""Decoding methods: what each one searches, what it needs, which weights are chosen on dev.

A new method is an entry of METHODS here and a class of the same name in CLASSES of asrkit/decode/methods.py.
"""

import dataclasses
import difflib
import functools
import sys
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Literal,
    Mapping,
    NamedTuple,
    Tuple,
)

from asrkit.errors import UserError

if TYPE_CHECKING:
    from asrkit.config.recipe import DecodeConfig, RecipeConfig

# Files below EXP that a method reads, beside units and acoustic model
GRAPH = "graph/HLG.safetensors"
WORDS = "units/words.txt"
LM = "lm/lm.arpa"  # that of the graph
LARGER_LM = "lm/rescore.{lm.rescore_order}.arpa"
NEURAL_LM = "lm/neural.safetensors"
SECOND_NEURAL_LM = "lm/second_neural.safetensors"
# For files that only refer to the folder of a model: the setting that names that folder
FOLDERS = {NEURAL_LM: "lm.neural.path", SECOND_NEURAL_LM: "lm.second_neural.path"}


class Need(NamedTuple):
    """Settings that a method asks for."""

    is_met: Callable[["RecipeConfig"], Any]
    expected: str


class Weight(NamedTuple):
    """Values that are tried on dev for one weight: `values`, then those of the setting decode.<setting>."""

    setting: str = ""
    values: Tuple[float, ...] = ()

    def tried(self, config: "DecodeConfig") -> Tuple[float, ...]:
        """The values, each once."""
        return tuple(dict.fromkeys((*self.values, *(getattr(config, self.setting) if self.setting else ()))))


@dataclasses.dataclass(frozen=True)
class Method:
    """A decoding method, as settings, stage decode, results and docs see it."""

    description: str
    searches: Literal["nothing", "H", "LG", "HLG"] = "HLG"  # the graph whose lattice the method starts from
    files: Tuple[str, ...] = (GRAPH,)  # that it reads
    packages: Tuple[str, ...] = ("k2",)  # that it imports
    settings: Tuple[str, ...] = ()  # of section decode: its result depends on them, beside the weights
    # In the order of an n-best list's columns after the acoustic score
    weights: Mapping[str, Weight] = dataclasses.field(default_factory=dict)
    needs: Tuple[Need, ...] = ()
    rescores_nbest: bool = False  # starts from the n-best list that is drawn from the lattice
    encoder_output: bool = False  # reads the encoder's output beside the posteriors
    timed: bool = False  # gives times and confidences of words, at the chosen weights
    is_bound: bool = False  # reads the references: a bound, not a result

    @property
    def has_lattice(self) -> bool:
        """Whether its hypotheses come from a lattice, unless it falls back."""
        return self.searches != "nothing"

    def grid(self, config: "DecodeConfig") -> Dict[str, Tuple[float, ...]]:
        """Values tried on dev, by weight."""
        return {name: weight.tried(config) for name, weight in self.weights.items()}

    def settings_of(self, config: "DecodeConfig") -> Dict[str, Any]:
        """The settings that its result depends on, without those that are switched off."""
        values = {name: getattr(config, name) for name in self.settings}
        return {name: value for name, value in values.items() if value is not None}


BEAMS = ("search_beam", "output_beam", "min_active_states", "max_active_states", "retry_beam_factor")
_HLG = (*BEAMS, "search_lm_scale", "blank_skip_threshold")
_NBEST = (*_HLG, "nbest_paths")
_PLAIN = {"lm_scale": Weight("lm_scales"), "word_bonus": Weight("word_bonuses")}
# Beside a better model of the same text the n-gram may be worth nothing, so 0 is tried too.
_OPTIONAL_LM = {**_PLAIN, "lm_scale": Weight("lm_scales", (0.0,))}
# The larger n-gram replaces the graph's: both are of the same text.
_LARGER_LM_WEIGHTS = {
    "lm_scale": Weight(values=(0.0,)),
    "word_bonus": Weight("word_bonuses"),
    "rescore_scale": Weight("lm_scales"),
}
_LARGER = Need(
    lambda config: config.lm.rescore_order, "lm.rescore_order, the order of the n-gram to rescore with"
)
_ORDER_2 = Need(
    lambda config: config.lm.arpa is not None or config.lm.order > 1,  # stage lm checks the model itself
    "lm.order 2 or more: kenlm can't read a unigram model",
)
_SPELLING = Need(
    lambda config: config.units.kind != "phones",
    "units.kind bpe or characters: it has no lexicon, and phones don't spell words",
)
_ATTENTION = Need(
    lambda config: config.model.decoder_blocks and config.train.decoder_weight,
    "model.decoder_blocks and train.decoder_weight above 0, which train an attention decoder",
)
_TRANSDUCER = Need(lambda config: config.model.transducer, "model.transducer: true, a transducer")
_NEURAL = Need(
    lambda config: config.lm.neural.layers or config.lm.neural.path,
    "lm.neural.layers, to train the neural language model, or lm.neural.path",
)
_SECOND = Need(
    lambda config: (
        _NEURAL.is_met(config) and (config.lm.second_neural.layers or config.lm.second_neural.path)
    ),
    "lm.neural.layers and lm.second_neural.layers, to train two neural language models, or their path",
)

METHODS: Dict[str, Method] = {
    "greedy": Method(
        "best unit of each frame; no lexicon, no language model",
        searches="nothing",
        files=(),
        packages=(),
    ),
    "prefix-beam-search": Method(
        "CTC prefix beam search with the n-gram, without lexicon (pyctcdecode)",
        searches="nothing",
        files=(LM,),
        packages=("pyctcdecode", "kenlm"),
        settings=("prefix_beams", "search_lm_scale"),
        weights=_PLAIN,
        needs=(_SPELLING, _ORDER_2),
    ),
    "ctc-decoding": Method(
        "search in the CTC topology H alone, without lexicon; its n-best list rescored with the n-gram",
        searches="H",
        files=(LM,),
        packages=("k2", "kenlm"),
        settings=(*BEAMS, "blank_skip_threshold", "nbest_paths"),
        weights=_OPTIONAL_LM,
        needs=(_ORDER_2,),
    ),
    "1best": Method(
        "best path of the HLG lattice, with times and confidences of words",
        settings=_HLG,
        weights=_PLAIN,
        timed=True,
    ),
    "nbest-rescoring": Method(
        "n-best list of the HLG lattice, rescored with the larger n-gram of lm.rescore_order",
        files=(GRAPH, LARGER_LM),
        packages=("k2", "kenlm"),
        settings=_NBEST,
        weights=_LARGER_LM_WEIGHTS,
        needs=(_LARGER,),
        rescores_nbest=True,
    ),
    "whole-lattice-rescoring": Method(
        "HLG lattice, its n-gram scores replaced by those of the larger n-gram of lm.rescore_order",
        files=(GRAPH, LARGER_LM, WORDS),
        settings=_HLG,
        weights=_PLAIN,
        needs=(_LARGER,),
    ),
    "attention-decoder": Method(
        "n-best list of the HLG lattice, rescored with the attention decoder (model.decoder_blocks)",
        settings=_NBEST,
        weights={**_OPTIONAL_LM, "attention_scale": Weight("attention_scales")},
        needs=(_ATTENTION,),
        rescores_nbest=True,
        encoder_output=True,
    ),
    "neural-rescoring": Method(
        "n-best list of the HLG lattice, rescored with the neural language model (lm.neural)",
        files=(GRAPH, NEURAL_LM),
        settings=_NBEST,
        weights={**_OPTIONAL_LM, "neural_scale": Weight("lm_scales", (0.0,))},
        needs=(_NEURAL,),
        rescores_nbest=True,
    ),
    "ngram-and-neural-rescoring": Method(
        "n-best list of the HLG lattice, rescored with the larger n-gram and lm.neural, each with its weight",
        files=(GRAPH, LARGER_LM, NEURAL_LM),
        packages=("k2", "kenlm"),
        settings=_NBEST,
        weights={**_LARGER_LM_WEIGHTS, "neural_scale": Weight("lm_scales", (0.0,))},
        needs=(_LARGER, _NEURAL),
        rescores_nbest=True,
    ),
    "two-neural-rescoring": Method(
        "n-best list of the HLG lattice, rescored with lm.neural and lm.second_neural, each with its weight",
        files=(GRAPH, NEURAL_LM, SECOND_NEURAL_LM),
        settings=_NBEST,
        weights={
            **_OPTIONAL_LM,
            "neural_scale": Weight("lm_scales", (0.0,)),
            "second_neural_scale": Weight("lm_scales", (0.0,)),
        },
        needs=(_SECOND,),
        rescores_nbest=True,
    ),
    "transducer-greedy": Method(
        "best unit of each frame by the transducer; no lexicon, no language model",
        searches="nothing",
        files=(),
        packages=(),
        needs=(_TRANSDUCER,),
        encoder_output=True,
    ),
    "modified-beam-search": Method(
        "beam search with the transducer, without lexicon; its n-best list rescored with the n-gram",
        searches="nothing",
        files=(LM,),
        packages=("kenlm",),
        settings=("transducer_beam",),
        weights=_OPTIONAL_LM,
        needs=(_TRANSDUCER, _ORDER_2),
        encoder_output=True,
    ),
    "fast-beam-search": Method(
        "best path of the transducer's lattice in LG, the lexicon with the n-gram",
        searches="LG",
        files=(LM, WORDS),
        settings=("search_beam", "max_active_states", "search_lm_scale"),
        weights=_PLAIN,
        needs=(_TRANSDUCER,),
        encoder_output=True,
    ),
    "nbest-oracle": Method(
        "hypothesis with the fewest errors in the n-best list: a bound for rescoring, not a result",
        settings=_NBEST,
        rescores_nbest=True,
        is_bound=True,
    ),
}

# Accepted for one version
RENAMED = {
    "hlg": "1best",
    "nbest": "nbest-rescoring",
    "lattice": "whole-lattice-rescoring",
    "attention": "attention-decoder",
    "neural": "neural-rescoring",
    "oracle": "nbest-oracle",
    "prefix": "prefix-beam-search",
    "h": "ctc-decoding",
}
# How to install what `pip install <package>` doesn't
INSTALL = {"k2": "run asrkit doctor, which names the wheel; or decode.methods: [greedy], which needs no k2"}


@functools.cache  # printed once
def current_method(name: str, where: str) -> str:
    """The current name of a method; a former one is accepted, with a line that gives the new name."""
    if name not in RENAMED:
        return name
    print(f"{where}: {name} is now called {RENAMED[name]}", file=sys.stderr, flush=True)
    return RENAMED[name]


def current_methods(names: Tuple[str, ...]) -> Tuple[str, ...]:
    """Current names of decode.methods, each once; raises UserError for an unknown one."""
    current = tuple(dict.fromkeys(current_method(name, "decode.methods") for name in names))
    for name in current:
        if name not in METHODS:
            near = difflib.get_close_matches(name, METHODS, n=1)
            todo = f"did you mean {near[0]}?" if near else "correct decode.methods"
            expected = f"one of {', '.join(METHODS)}"
            raise UserError(f"no decoding method {name}", expected, "decode.methods", todo)
    return current


def unread_settings(config: "DecodeConfig") -> List[str]:
    """Settings of section decode that only methods outside decode.methods read, such as prefix_beams."""
    used = {name for method in config.methods for name in _read_by(METHODS[method])}
    return [name for each in METHODS.values() for name in _read_by(each) if name not in used]


def _read_by(method: Method) -> List[str]:
    """Settings of section decode that a method reads, for its result or for the weights tried on dev."""
    names = [*method.settings, *(weight.setting for weight in method.weights.values() if weight.setting)]
    if method.has_lattice:  # the search scales the acoustic scores by it
        names.append("search_lm_scale")
    if method.rescores_nbest:  # the list has the best path at each point of the grid
        names += ["lm_scales", "word_bonuses"]
    return names


def method_order(name: str) -> Tuple[int, str]:
    """Sorts names of methods as METHODS has them; others, of a recipe's own stage, come last."""
    names = list(METHODS)
    return (names.index(name) if name in METHODS else len(names), name)


def beyond_unigrams(names: Iterable[str]) -> List[str]:
    """The methods among `names` that need an n-gram model of order 2 or more."""
    return [name for name in names if _ORDER_2 in METHODS[name].needs]


def files_by_method() -> Iterator[str]:
    """What methods read, as patterns of a stage: "graph/HLG.safetensors if decode.methods=1best,..."."""
    for file in dict.fromkeys(file for method in METHODS.values() for file in method.files):
        yield f"{file} if decode.methods={','.join(name for name in METHODS if file in METHODS[name].files)}"
