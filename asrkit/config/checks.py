"""Settings that don't fit each other, or that no run could use: found when a recipe is read."""

import json
from typing import Any, FrozenSet, Iterator, NamedTuple, Tuple

import msgspec

from asrkit.config.methods import METHODS, unread_settings
from asrkit.config.recipe import (
    CorpusConfig,
    DecodeConfig,
    FeaturesConfig,
    LmConfig,
    ModelConfig,
    NeuralLmConfig,
    RecipeConfig,
    UnitsConfig,
    kind_of,
)
from asrkit.config.symbols import RESERVED_WORDS

STAGE_BLOCKS_FRONTS = ("resnet", "resnet-bottleneck")  # use model.stage_blocks; the other fronts are presets
PRESET_STAGES = 4
GRAMMARS = (".yaml", ".yml")  # suffixes of grammar files, from which lm.text draws sentences
LOWEST_RATE = 1000  # Hz; no audio has a lower rate, so a smaller number is probably in kHz
LONGEST_FRAME = 1.0  # seconds; a larger number is probably in milliseconds
MAXIMUM_ORDER = 5  # of the built-in n-gram estimator
HIGHEST_ORDER = 6  # the highest order that kenlm is compiled for
# Settings of lm.neural and lm.second_neural that apply to one kind of trained model only
OF_KIND = {"kernel": "residual", "heads": "masked", "mask_share": "masked", "context": "masked"}
DEFAULTS = RecipeConfig(name="", corpus=CorpusConfig(module=""))
_Unused = Tuple[str, bool, str]  # setting, whether it has no effect, and why


class Conflict(NamedTuple):
    """What is wrong with some settings, what was expected, and what to do."""

    found: str
    expected: str
    todo: str


def conflicts(config: RecipeConfig) -> Iterator[Conflict]:
    """All that is wrong and can be told without data."""
    yield from model_conflicts(config.model)
    if config.train.chunk is not None:
        yield from streaming_conflicts(config.model)
        if config.signal.steps:
            expected, todo = "a signal that comes in pieces, for train.chunk", "--set signal.steps=[]"
            yield Conflict(f"signal.steps has {len(config.signal.steps)} steps", expected, todo)
    yield from _feature_conflicts(config.features)
    yield from _step_conflicts(config)
    yield from _split_conflicts(config)
    kinds = [kind_of(transform) for transform in config.augment]
    for kind in sorted({kind for kind in kinds if kinds.count(kind) > 1}):
        found = f"augment has {kinds.count(kind)} entries of kind {kind}"
        yield Conflict(found, "at most one of each kind", "remove the others")
    yield from _lm_conflicts(config.lm)
    if config.model.transducer != (config.train.criterion == "transducer"):
        found = f"model.transducer is {config.model.transducer}, and train.criterion {config.train.criterion}"
        todo = "--set model.transducer=true --set train.criterion=transducer, or leave out both"
        yield Conflict(found.lower(), "a transducer with the criterion that trains it", todo)
    yield from _candidate_conflicts(config)
    yield from _method_conflicts(config)
    yield from _decode_conflicts(config.decode)
    yield from _unused_settings(config)
    yield from _units_conflicts(config.units)


def _lm_conflicts(lm: LmConfig) -> Iterator[Conflict]:
    yield from _order_conflicts(lm)
    for name in ("neural", "second_neural"):
        neural = getattr(lm, name)
        if neural.kind == "masked" and neural.dim % (2 * neural.heads):
            found = f"lm.{name}.dim is {neural.dim}, with {neural.heads} heads"
            yield Conflict(found, "a multiple of twice the heads", f"--set lm.{name}.dim={32 * neural.heads}")
    counts = list(lm.min_counts)
    if counts and counts != sorted([1, *counts[1:]]):  # otherwise some n-grams would lack their contexts
        expected = "1 for unigrams, then counts that don't decrease"
        yield Conflict(f"lm.min_counts is {counts}", expected, "for example lm.min_counts: [1, 1, 2]")


def _decode_conflicts(decode: DecodeConfig) -> Iterator[Conflict]:
    least, most = decode.min_active_states, decode.max_active_states
    if most <= least:
        found = f"decode.max_active_states is {most}, and decode.min_active_states {least}"
        yield Conflict(found, "a maximum above the minimum", "raise decode.max_active_states")
    factor = decode.retry_beam_factor
    if factor <= 1:
        expected = (
            "more than 1: if a lattice is empty, decoding is retried with beams multiplied by this factor"
        )
        todo = "--set decode.retry_beam_factor=2"
        yield Conflict(f"decode.retry_beam_factor is {factor:g}", expected, todo)
    if decode.precision == "float16" and decode.device != "cuda":
        found = f"decode.precision is float16, and decode.device {decode.device}"
        todo = "--device cuda, or --set decode.precision=bfloat16"
        yield Conflict(found, "decode.device cuda: float16 is slow or unsupported on CPUs", todo)


def _units_conflicts(units: UnitsConfig) -> Iterator[Conflict]:
    unknown = units.unknown_word or ""
    if not RESERVED_WORDS.isdisjoint((unknown, unknown.lower(), unknown.upper())):  # with any corpus.case
        found, todo = f"units.unknown_word is {unknown}", "for example <OOV>, in the lexicon too"
        yield Conflict(found, "a name that ARPA files don't use themselves", todo)
    if units.kind == "phones" and units.lexicon is None:
        expected = "a lexicon file in the recipe's folder or the corpus's"
        todo = "set units.lexicon, or units.kind: bpe or characters"
        yield Conflict("units.kind is phones, and units.lexicon is not set", expected, todo)


def _order_conflicts(lm: LmConfig) -> Iterator[Conflict]:
    """Orders that the estimator or kenlm doesn't support, and counts for orders that aren't estimated."""
    estimated = [lm.order] if lm.arpa is None else []
    for name, arpa in (("order", lm.arpa), ("rescore_order", lm.rescore_arpa)):
        order, builtin = getattr(lm, name) or 0, lm.estimator == "builtin" and arpa is None
        most = MAXIMUM_ORDER if builtin else HIGHEST_ORDER
        if order > most and (arpa is None or name == "rescore_order"):
            todo = f"--set lm.{name}={most}" + (", or lm.estimator=lmplz" if builtin and order == 6 else "")
            yield Conflict(f"lm.{name} is {order}", f"1 to {most}", todo)
    if lm.rescore_order is not None and lm.rescore_arpa is None:
        estimated.append(lm.rescore_order)
    if estimated and len(lm.min_counts) > max(estimated):
        found = f"lm.min_counts has {len(lm.min_counts)} counts, and the highest order is {max(estimated)}"
        yield Conflict(found, "at most one per order", "remove the others, or raise lm.order")


def model_conflicts(config: ModelConfig) -> Iterator[Conflict]:
    """Settings of the model that don't fit each other."""
    stages = len(config.stage_blocks) if config.front in STAGE_BLOCKS_FRONTS else PRESET_STAGES
    for name in ("stage_channels", "stage_time_strides", "stage_frequency_strides"):
        number = len(getattr(config, name))
        if number != stages:
            todo = f"correct model.{name}"
            yield Conflict(f"model.{name} has {number} entries", f"{stages}, one per stage", todo)
    if config.inner_channels and len(config.inner_channels) != stages:
        entries = f"model.inner_channels has {len(config.inner_channels)} entries"
        yield Conflict(entries, f"{stages}, one per stage, or none", "correct model.inner_channels")
    if len(config.stem_stride) != 2:
        strides = list(config.stem_stride)
        yield Conflict(f"model.stem_stride is {strides}", "[time, frequency]", "correct model.stem_stride")
    if config.attention_dim % (2 * config.attention_heads):
        dim, heads = config.attention_dim, config.attention_heads
        expected = "a multiple of twice the heads, as rotary positions need"
        todo = f"--set model.attention_dim={max(1, round(dim / (2 * heads))) * 2 * heads}"
        yield Conflict(f"model.attention_dim is {dim}, with {heads} heads", expected, todo)
    if any(number >= config.attention_blocks for number in config.intermediate_blocks):
        blocks = f"model.intermediate_blocks is {list(config.intermediate_blocks)}"
        expected = f"numbers below model.attention_blocks, {config.attention_blocks}"
        yield Conflict(blocks, expected, "correct model.intermediate_blocks")
    if config.stochastic_depth and not config.residual:
        skipping = f"model.residual is false, and model.stochastic_depth {config.stochastic_depth:g}"
        expected = "residual connections: without them, a skipped block would output zeros"
        yield Conflict(skipping, expected, "--set model.stochastic_depth=0")
    for name in ("convolution_kernel", "stem_kernel"):
        size = getattr(config, name)
        if size % 2 == 0:
            yield Conflict(f"model.{name} is {size}", "an odd number", f"--set model.{name}={size + 1}")


def streaming_conflicts(config: ModelConfig) -> Iterator[Conflict]:
    """Settings of the model that need the whole utterance at once."""
    expected = "a model that streams, for train.chunk"
    if config.encoder != "attention" and not config.convolution_causal:
        yield Conflict("model.convolution_causal is false", expected, "--set model.convolution_causal=true")
    if config.encoder != "convolution" and config.positions != "rotary":
        yield Conflict(f"model.positions is {config.positions}", expected, "--set model.positions=rotary")
    if config.utterance_mean:
        yield Conflict("model.utterance_mean is true", expected, "--set model.utterance_mean=false")
    if config.squeeze_reduction:  # the mean over the utterance
        found = f"model.squeeze_reduction is {config.squeeze_reduction}"
        yield Conflict(found, expected, "--set model.squeeze_reduction=0")


def _feature_conflicts(config: FeaturesConfig) -> Iterator[Conflict]:
    factors = list(config.speed_factors)
    if 1.0 not in factors or len(set(factors)) != len(factors):
        expected, todo = "1.0 and any others, each at most once", "--set features.speed_factors=[0.9,1.0,1.1]"
        yield Conflict(f"features.speed_factors is {factors}", expected, f"for example {todo}")
    if config.sampling_rate < LOWEST_RATE:
        found = f"features.sampling_rate is {config.sampling_rate}"
        yield Conflict(found, f"{LOWEST_RATE} Hz or more", "give Hz, for example 16000, not 16")
    if max(config.frame_length, config.frame_shift) >= LONGEST_FRAME:
        found = f"features.frame_length is {config.frame_length:g}, and frame_shift {config.frame_shift:g}"
        yield Conflict(found, "seconds, not milliseconds", "the usual values are 0.025 and 0.01")
    if config.frame_length < config.frame_shift:
        found = f"features.frame_length {config.frame_length:g} is below frame_shift {config.frame_shift:g}"
        expected = "overlapping or adjacent frames, so that no audio is skipped"
        yield Conflict(found, expected, "the usual values are 0.025 and 0.01 seconds")


def _step_conflicts(config: RecipeConfig) -> Iterator[Conflict]:
    """Filters at frequencies that the audio doesn't have."""
    highest = config.features.sampling_rate / 2
    for step in config.signal.steps:
        hertz = getattr(step, "hertz", 0.0)
        if hertz >= highest:
            found = f"signal.steps: {kind_of(step)} at {hertz:g} Hz, and audio of {2 * highest:g} Hz"
            yield Conflict(found, f"a frequency below {highest:g} Hz", "set hertz")


def _split_conflicts(config: RecipeConfig) -> Iterator[Conflict]:
    corpus = config.corpus
    if corpus.train in (corpus.dev, *corpus.tests):
        found = f"{corpus.train} is corpus.train, and corpus.dev or one of corpus.tests"
        yield Conflict(found, "disjoint splits", "name another subset")
    if corpus.dev in corpus.tests:
        found = f"{corpus.dev} is corpus.dev and one of corpus.tests, but settings are tuned on dev"
        yield Conflict(found, "disjoint splits", "remove it from corpus.tests; stage score reports dev, too")
    made_up = "dev_speakers" if corpus.dev_speakers else "dev_sets"
    if corpus.dev in corpus.held_out and getattr(corpus, made_up) and corpus.dev not in corpus.dev_sets:
        found = f"corpus.held_out has {corpus.dev}, and corpus.{made_up} is set"
        yield Conflict(found, "only one of them", "leave one of them out")
    if corpus.min_duration > corpus.max_duration:
        found = f"corpus.min_duration is {corpus.min_duration:g}, and max_duration {corpus.max_duration:g}"
        yield Conflict(found, "a minimum below the maximum", "exchange them")


def _candidate_conflicts(config: RecipeConfig) -> Iterator[Conflict]:
    """Averages over more checkpoints than training keeps."""
    for candidate in config.average.candidates:
        kind, _, count = candidate.partition("-")
        kept = config.train.keep_best if kind == "best" else config.train.keep_last
        if int(count) > kept:
            found = f"average.candidates has {candidate}, and train.keep_{kind} is {kept}"
            todo = f"set train.keep_{kind} to {count}, or remove {candidate}"
            yield Conflict(found, "averages over at most as many checkpoints as are kept", todo)


def _method_conflicts(config: RecipeConfig) -> Iterator[Conflict]:
    """Decoding methods whose settings are missing."""
    for method in config.decode.methods:
        for need in METHODS[method].needs:
            if not need.is_met(config):
                todo = f"set it, or leave {method} out of decode.methods"
                yield Conflict(f"decode.methods has {method}", need.expected, todo)


def _unused_settings(config: RecipeConfig) -> Iterator[Conflict]:
    """Settings without effect because of others."""
    corpus, units = config.corpus, config.units
    others = [split for split in corpus.held_out if split not in (corpus.dev, *corpus.tests)]
    silence_unused = config.graph.silence_probability != 0.5 and config.graph.optional_silence is None
    no_phones = "units.kind is not phones"
    for setting, is_unused, reason in (
        *_unused_of_lm(config.lm),
        *_unused_of_training(config),
        ("graph.silence_probability", silence_unused, "graph.optional_silence is not"),
        *(
            (f"units.{name}", bool(getattr(units, name)) and units.kind != "phones", no_phones)
            for name in ("unknown_word", "merge_stress", "grapheme_to_phoneme")
        ),
        *((setting, _is_changed(config, setting), reason) for setting, reason in _without_part(config)),
        ("corpus.held_out", bool(others), f"neither corpus.dev nor corpus.tests has {', '.join(others)}"),
    ):
        if is_unused:
            # A setting of recipe.yaml can't be removed on the command line
            default = json.dumps(msgspec.to_builtins(_value_of(DEFAULTS, setting)))
            todo = f"leave {setting} out (in a command: --set {setting}={default}), or change the other"
            yield Conflict(f"{setting} is set, and {reason}", "settings that have an effect", todo)


def settings_without_effect(config: RecipeConfig) -> FrozenSet[str]:
    """Settings that don't change results: those of parts that the model lacks, or of methods not chosen.

    The latter are accepted, so that a method can be left out of decode.methods and added again.
    """
    of_methods = (f"decode.{name}" for name in unread_settings(config.decode))
    return frozenset([*of_methods, *(setting for setting, _ in _without_part(config))])


def _without_part(config: RecipeConfig) -> Iterator[Tuple[str, str]]:
    """Yield settings of parts that the model or the units don't have, each with the reason."""
    if config.units.kind != "bpe":
        yield "units.vocabulary_size", f"units.kind is {config.units.kind}, not bpe"
    if not config.model.decoder_blocks:
        yield "train.decoder_weight", "model.decoder_blocks is 0"
        yield "train.label_smoothing", "model.decoder_blocks is 0"
    elif not config.train.decoder_weight:
        yield "train.label_smoothing", "train.decoder_weight is 0"
    if not config.model.intermediate_blocks:
        yield "train.intermediate_weight", "model.intermediate_blocks is empty"


def _is_changed(config: RecipeConfig, setting: str) -> bool:
    """Whether a setting has another value than its default."""
    return bool(_value_of(config, setting) != _value_of(DEFAULTS, setting))


def _value_of(config: RecipeConfig, setting: str) -> Any:
    """The value of a setting, by its flat name."""
    value: Any = config
    for name in setting.split("."):
        value = getattr(value, name)
    return value


def _unused_of_lm(lm: LmConfig) -> Iterator[_Unused]:
    of_text = lm.arpa is None or (lm.rescore_order is not None and lm.rescore_arpa is None)
    estimated = of_text or lm.interpolate
    neural = any(each.layers and each.path is None for each in (lm.neural, lm.second_neural))
    drawn = lm.text is not None and lm.text.endswith(GRAMMARS)
    ready = "lm.arpa gives a ready model"
    no_grammar = f"lm.text is {lm.text or 'not'}: a grammar is a file NAME.yaml"
    yield "lm.text", lm.text is not None and not (of_text or neural), ready
    yield "lm.text_sentences", lm.text_sentences is not None and not drawn, no_grammar
    yield "lm.interpolate", lm.interpolate and lm.text is lm.arpa is None, "neither lm.text nor lm.arpa is"
    yield "lm.estimator", lm.estimator != "builtin" and not estimated, ready
    yield "lm.min_counts", bool(lm.min_counts) and not estimated, ready
    yield "lm.prune", lm.prune > 0 and lm.arpa is not None, ready
    no_order = "lm.rescore_order is not"
    yield "lm.rescore_arpa", bool(lm.rescore_arpa) and lm.rescore_order is None, no_order
    yield from _unused_of_neural("lm.neural", lm.neural)
    yield from _unused_of_neural("lm.second_neural", lm.second_neural)


def _unused_of_neural(section: str, neural: NeuralLmConfig) -> Iterator[_Unused]:
    default, given = NeuralLmConfig(), bool(neural.path)
    changed = [name for name in default.__struct_fields__ if getattr(neural, name) != getattr(default, name)]
    if not neural.layers and not given:  # switched off
        return
    yield f"{section}.path", given and neural.kind != "masked", f"{section}.kind is not masked"
    for name in changed:
        trained = name not in ("kind", "path")
        yield f"{section}.{name}", given and trained, f"{section}.path gives a ready model"
        kind = OF_KIND.get(name, neural.kind)
        yield f"{section}.{name}", kind != neural.kind, f"{section}.kind is {neural.kind}, not {kind}"
    no_pieces = f"{section}.tokens is not pieces"
    yield f"{section}.pieces", "pieces" in changed and neural.tokens != "pieces", no_pieces


def _unused_of_training(config: RecipeConfig) -> Iterator[_Unused]:
    train, no_source = config.train, "train.init_from is not"
    plain = train.ctc == "torch" and train.criterion != "lf-mmi"
    no_graphs, no_chunk = "train.ctc is torch, without k2's graphs", "train.chunk is not"
    yield "model.left_context", config.model.left_context != 64 and train.chunk is None, no_chunk
    yield "train.topology", plain and train.topology != "standard", no_graphs
    yield "train.optional_silence", plain and train.optional_silence is not None, no_graphs
    no_second = "train.criterion is ctc"
    yield "train.ctc_weight", train.criterion == "ctc" and train.ctc_weight != 0.3, no_second
    for setting, value in (
        ("train.freeze", train.freeze),
        ("train.replay", train.replay),
        ("average.initial_share", config.average.initial_share),
    ):
        yield setting, bool(value) and train.init_from is None, no_source
