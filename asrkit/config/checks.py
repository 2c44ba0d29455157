"""Settings that don't fit each other, or that no run could use: found when a recipe is read."""

from typing import Iterator, NamedTuple

from asrkit.config.recipe import FeaturesConfig, ModelConfig, RecipeConfig

RESNET_STAGES = 4  # of each model.depth
MAXIMUM_ORDER = 5  # of n-grams that the built-in estimator takes


class Conflict(NamedTuple):
    """What is wrong with some settings, what was expected, and what to do."""

    found: str
    expected: str
    todo: str


def conflicts(config: RecipeConfig) -> Iterator[Conflict]:
    """All that is wrong and can be told without data."""
    yield from model_conflicts(config.model)
    yield from _feature_conflicts(config.features)
    yield from _split_conflicts(config)
    low, high = config.train.noise.signal_to_noise
    if low > high:
        yield Conflict(
            f"train.noise.signal_to_noise is [{low:g}, {high:g}]",
            "the lower ratio first, in decibels",
            f"--set train.noise.signal_to_noise=[{high:g},{low:g}]",
        )
    for name, arpa in (("order", config.lm.arpa), ("rescore_order", config.lm.rescore_arpa)):
        order = getattr(config.lm, name) or 0
        if order > MAXIMUM_ORDER and arpa is None and config.lm.estimator == "builtin":
            todo = f"--set lm.{name}={MAXIMUM_ORDER}, or lm.estimator=lmplz"
            yield Conflict(f"lm.{name} is {order}", f"1 to {MAXIMUM_ORDER}", todo)


def model_conflicts(config: ModelConfig) -> Iterator[Conflict]:
    """Settings that don't make a model."""
    stages = RESNET_STAGES if config.depth else len(config.stage_blocks)
    for name in ("stage_channels", "stage_time_strides", "stage_frequency_strides"):
        found = len(getattr(config, name))
        if found != stages:
            todo = f"correct model.{name}"
            yield Conflict(f"model.{name} has {found} entries", f"{stages}, one per stage", todo)
    if len(config.stem_stride) != 2:
        strides = list(config.stem_stride)
        yield Conflict(f"model.stem_stride is {strides}", "[time, frequency]", "correct model.stem_stride")
    if config.attention_dim % (2 * config.attention_heads):
        dim, heads = config.attention_dim, config.attention_heads
        yield Conflict(
            f"model.attention_dim is {dim}, with {heads} heads",
            "a multiple of twice the heads, for rotary positions",
            f"--set model.attention_dim={max(1, round(dim / (2 * heads))) * 2 * heads}",
        )
    if any(number >= config.attention_blocks for number in config.intermediate_blocks):
        yield Conflict(
            f"model.intermediate_blocks is {list(config.intermediate_blocks)}",
            f"numbers below model.attention_blocks, {config.attention_blocks}",
            "correct model.intermediate_blocks",
        )
    for name in ("convolution_kernel", "stem_kernel"):
        size = getattr(config, name)
        if size and size % 2 == 0:
            yield Conflict(f"model.{name} is {size}", "an odd number", f"--set model.{name}={size + 1}")


def _feature_conflicts(config: FeaturesConfig) -> Iterator[Conflict]:
    factors = list(config.speed_factors)
    if 1.0 not in factors or len(set(factors)) != len(factors):
        yield Conflict(
            f"features.speed_factors is {factors}",
            "1.0 and any others, each once",
            "for example --set features.speed_factors=[0.9,1.0,1.1]",
        )
    if config.frame_length < config.frame_shift:
        yield Conflict(
            f"features.frame_length {config.frame_length:g} is below frame_shift {config.frame_shift:g}",
            "frames that leave no audio out",
            "the usual ones are 0.025 and 0.01 seconds",
        )


def _split_conflicts(config: RecipeConfig) -> Iterator[Conflict]:
    corpus = config.corpus
    if corpus.train in (corpus.dev, *corpus.tests):
        yield Conflict(
            f"{corpus.train} is corpus.train and corpus.dev or one of corpus.tests too",
            "training text and audio in no other split",
            "name another set",
        )
    if corpus.min_duration > corpus.max_duration:
        found = f"corpus.min_duration is {corpus.min_duration:g}, and max_duration {corpus.max_duration:g}"
        yield Conflict(found, "the shorter one first", "exchange them")
