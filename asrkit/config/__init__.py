"""Settings: frozen structures read from recipe.yaml and --set key=value."""
# ruff: noqa: F401

from asrkit.config.load import current_names, flatten, load_config
from asrkit.config.recipe import (
    AverageConfig,
    CorpusConfig,
    DecodeConfig,
    FeaturesConfig,
    GraphConfig,
    LmConfig,
    ModelConfig,
    NeuralLmConfig,
    NoiseConfig,
    RecipeConfig,
    RoomsConfig,
    ScoreConfig,
    TrainConfig,
    UnitsConfig,
)
