"""Settings: frozen structures read from recipe.yaml and --set key=value."""
# ruff: noqa: F401

from asrkit.config.earlier import current_settings
from asrkit.config.load import flatten, load_config
from asrkit.config.recipe import (
    Augmentation,
    BabbleConfig,
    BandPassConfig,
    ClippingConfig,
    CodecConfig,
    ConcatenateConfig,
    CorpusConfig,
    DecodeConfig,
    FeaturesConfig,
    GainAndTiltConfig,
    GraphConfig,
    HissConfig,
    HumConfig,
    LmConfig,
    ModelConfig,
    NeuralLmConfig,
    NoiseConfig,
    RecipeConfig,
    ReverberationConfig,
    RumbleConfig,
    SpecAugmentConfig,
    TrainConfig,
    UnitsConfig,
    VtlpConfig,
    WaveformConfig,
)
