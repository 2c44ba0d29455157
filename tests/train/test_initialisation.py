from pathlib import Path
from typing import List, Sequence

import msgspec
import pytest
import torch

from asrkit.config import CorpusConfig, FeaturesConfig, ModelConfig, RecipeConfig, TrainConfig
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel, save_model
from asrkit.pipeline.experiment import Experiment, write_settings
from asrkit.stages.train import check_files
from asrkit.storage.files import write_text
from asrkit.train.examples import draw_replayed
from asrkit.train.initialisation import Source, freeze, initialise, open_source, transfer
from asrkit.train.optimizer import make_optimizer
from tests.train.tiny import MODEL

SYMBOLS = ["<blk>", "A", "B"]
DECODER = msgspec.structs.replace(MODEL, decoder_blocks=1)
FEATURES = FeaturesConfig(bins=20)


def make_model(symbols: Sequence[str], config: ModelConfig = DECODER, seed: int = 0) -> AcousticModel:
    torch.manual_seed(seed)
    return AcousticModel(config, bins=20, units=len(symbols))


def write_experiment(folder: Path, model: AcousticModel, symbols: List[str]) -> Path:
    """An experiment with what fine-tuning needs."""
    config = RecipeConfig(name="x", corpus=CorpusConfig(module="x"), features=FEATURES, model=model.config)
    (folder / "stages").mkdir(parents=True)
    write_settings(folder, config)
    (folder / "average").mkdir()
    save_model(folder / "average/model.safetensors", model, {})
    (folder / "units").mkdir()
    write_text(folder / "units/units.txt", "".join(f"{each} {row}\n" for row, each in enumerate(symbols)))
    return folder


def fine_tuned(place: Path, recipe: Path, **train: object) -> Experiment:
    settings = TrainConfig(init_from=str(place), **train)  # type: ignore[arg-type]
    corpus = CorpusConfig(module="x")
    config = RecipeConfig(name="y", corpus=corpus, features=FEATURES, model=DECODER, train=settings)
    return Experiment(config, recipe / "exp", recipe / "download", recipe, 1)


def test_the_same_units_take_the_whole_model_with_its_feature_normalisation(tmp_path: Path) -> None:
    source, model = make_model(SYMBOLS, seed=1), make_model(SYMBOLS)
    source.feature_mean.fill_(3.0)
    place = write_experiment(tmp_path / "old", source, SYMBOLS)
    lines = initialise(model, SYMBOLS, fine_tuned(place, tmp_path))
    assert lines == [f"{len(model.state_dict())} tensors from {place}, 0 not or not all:"]
    for name, tensor in source.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name


def test_rows_of_known_units_are_taken_by_name_wherever_they_are() -> None:
    source, symbols = make_model(SYMBOLS, seed=1), ["<blk>", "B", "C", "A"]
    model, fresh = make_model(symbols), make_model(symbols)
    _, left = transfer(model, symbols, Source(Path("old"), source.state_dict(), SYMBOLS))
    assert torch.equal(model.output.weight[[0, 1, 3]], source.output.weight[[0, 2, 1]])
    assert torch.equal(model.output.weight[2], fresh.output.weight[2])
    own, theirs = model.decoder, source.decoder
    assert own is not None and theirs is not None
    assert torch.equal(own.embedding.weight[-1], theirs.embedding.weight[-1])  # the boundary
    assert torch.equal(own.output.bias[[3, 1]], theirs.output.bias[[1, 2]])
    assert "output.weight: fresh rows for 1 new units: C" in left


def test_what_does_not_fit_is_listed_with_the_reason() -> None:
    source = make_model(SYMBOLS, msgspec.structs.replace(DECODER, feedforward_dim=24, decoder_blocks=0), 1)
    model = make_model(SYMBOLS)
    taken, left = transfer(model, SYMBOLS, Source(Path("old"), source.state_dict(), SYMBOLS))
    assert "blocks.0.expand.weight: found (24, 16), expected (32, 16)" in left
    assert "decoder.norm.weight: not in old" in left
    assert "blocks.0.attention.output.weight" in taken and "decoder.norm.weight" not in taken


def test_frozen_parts_keep_weights_and_statistics_in_training() -> None:
    model = make_model(SYMBOLS)
    freeze(model, ["front", "block1"])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = make_optimizer(model, TrainConfig(learning_rate=0.1))
    model.train()
    log_probs, _ = model(torch.randn(2, 50, 20), torch.tensor([50, 40]))
    log_probs[..., 1].sum().backward()
    optimizer.step()
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    expected = {f"{part}.{kind}" for part in ("project", "norm", "output") for kind in ("weight", "bias")}
    assert changed == expected


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"freeze": ("blok1",)}, "no part blok1.*block1"),
        ({"freeze": ("front", "project", "block1", "output", "decoder1")}, "no part decoder1"),
    ],
)
def test_wrong_parts_are_refused_before_a_stage_runs(tmp_path: Path, train: dict, message: str) -> None:
    place = write_experiment(tmp_path / "old", make_model(SYMBOLS), SYMBOLS)
    with pytest.raises(UserError, match=f"(?s){message}"):
        check_files(fine_tuned(place, tmp_path, **train))


def test_other_features_a_bundle_and_an_unfinished_experiment_are_refused(tmp_path: Path) -> None:
    place = write_experiment(tmp_path / "old", make_model(SYMBOLS), SYMBOLS)
    with pytest.raises(UserError, match=r"bins is 40, and that of train\.init_from 20") as caught:
        open_source(place, FeaturesConfig(bins=40))
    assert caught.value.todo == "--set features.bins=20"
    (place / "average/model.safetensors").unlink()
    with pytest.raises(UserError, match="no averaged model"):
        check_files(fine_tuned(place, tmp_path))
    (tmp_path / "bundle").mkdir()
    write_text(tmp_path / "bundle/bundle.json", "{}")
    with pytest.raises(UserError, match="is a bundle"):
        check_files(fine_tuned(tmp_path / "bundle", tmp_path))
    with pytest.raises(UserError, match="no experiment"):
        check_files(fine_tuned(tmp_path, tmp_path))


def test_each_epoch_has_all_own_utterances_and_another_share_of_the_replayed_ones() -> None:
    first, second = (draw_replayed(30, 100, 0.25, seed=1, epoch=epoch) for epoch in range(2))
    assert first[:30] == second[:30] == list(range(30))
    assert len(first) == len(second) == 40 and first != second
    assert all(30 <= place < 130 for place in first[30:]) and len(set(first)) == 40
    assert draw_replayed(30, 100, 0.25, seed=1, epoch=0) == first
    assert draw_replayed(30, 4, 0.5, seed=1, epoch=0) == list(range(34))
    assert draw_replayed(30, 0, 0.0, seed=1, epoch=0) == list(range(30))
