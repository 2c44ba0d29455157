"""Weights of other models, and frozen parts."""

from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import msgspec
import pytest
import torch
from msgspec.structs import replace
from safetensors.torch import save_file

from asrkit.config import CorpusConfig, FeaturesConfig, ModelConfig, RecipeConfig
from asrkit.config.recipe import AverageConfig
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel, save_model
from asrkit.model.front import ResidualFront
from asrkit.pipeline.experiment import write_settings
from asrkit.storage.files import write_text
from asrkit.storage.fingerprint import hash_file
from asrkit.train.average import divide_by_priors, label_priors
from asrkit.train.examples import draw_replayed
from asrkit.train.initialisation import freeze, initialise, mix_initial, pool_priors, refuse_other_features
from asrkit.train.loop import Training, run_training
from asrkit.train.optimizer import make_optimizer
from tests.known_issues.conftest import Finished
from tests.known_issues.conftest import finished_yesno as finished_yesno
from tests.known_issues.conftest import yesno as yesno
from tests.train.tiny import CONFIG, MODEL, UNITS, make_examples

RESNET18 = ModelConfig(front="resnet18", stem_channels=8, stem_kernel=7, stage_channels=(8, 16, 16, 16))


def make_model(config: ModelConfig = RESNET18, units: int = 3, bins: int = 80) -> AcousticModel:
    return AcousticModel(config, bins, units)


def torchvision_like(file: Path, shortcut: str = "downsample", prefix: str = "") -> Dict[str, torch.Tensor]:
    """Tensors with torchvision's names, three input channels and a classifier."""
    torch.manual_seed(1)
    tensors = {name: torch.randn(t.shape) for name, t in ResidualFront(RESNET18, 80).state_dict().items()}
    tensors["conv1.weight"] = torch.randn(8, 3, 7, 7)
    tensors["fc.weight"] = torch.randn(10, 16)
    tensors = {name: t.contiguous() for name, t in tensors.items() if "num_batches" not in name}
    renamed = {prefix + name.replace("downsample", shortcut): t for name, t in tensors.items()}
    save_file(renamed, str(file))
    return tensors


@pytest.mark.parametrize(("shortcut", "prefix"), [("downsample", ""), ("shortcut", "front.")])
def test_weights_are_copied_and_input_channels_summed(tmp_path: Path, shortcut: str, prefix: str) -> None:
    given, model = torchvision_like(tmp_path / "resnet.safetensors", shortcut, prefix), make_model()
    taken, left = initialise(model, "", tmp_path / "resnet.safetensors")
    own = model.front.state_dict()
    if shortcut == "shortcut":  # WeSpeaker's kernels are over (frequency, time)
        given["conv1.weight"] = given["conv1.weight"].transpose(2, 3)
    grey = torch.randn(1, 1, 20, 20)
    coloured = torch.nn.functional.conv2d(grey.expand(1, 3, 20, 20), given["conv1.weight"])
    found = torch.nn.functional.conv2d(grey, own["conv1.weight"])
    torch.testing.assert_close(found, coloured, atol=1e-4, rtol=0)
    assert torch.equal(own["layer3.1.bn2.running_var"], given["layer3.1.bn2.running_var"])
    assert torch.equal(own["layer2.0.downsample.0.weight"], given["layer2.0.downsample.0.weight"])
    assert len(taken) == len(given) - 1
    assert "front.fc.weight: not in the model" in left
    assert own["layer1.0.conv1.weight"].is_contiguous(memory_format=torch.channels_last)


def test_mismatches_are_listed_with_both_shapes(tmp_path: Path) -> None:
    torchvision_like(tmp_path / "resnet.safetensors")
    wider = make_model(msgspec.structs.replace(RESNET18, stem_kernel=3, stage_channels=(8, 16, 16, 24)))
    before = wider.front.conv1.weight.clone()
    _, left = initialise(wider, "", tmp_path / "resnet.safetensors")
    assert "front.conv1.weight: found (8, 1, 7, 7), expected (8, 1, 3, 3)" in left
    assert "front.layer4.1.conv2.weight: found (16, 16, 3, 3), expected (24, 24, 3, 3)" in left
    assert torch.equal(wider.front.conv1.weight, before)


@pytest.mark.parametrize("content", [{"other": torch.zeros(2)}, None])
def test_a_file_without_matching_tensors_is_refused(tmp_path: Path, content: Any) -> None:
    file = tmp_path / "x.safetensors"
    if content is None:
        file.write_bytes(b"not tensors")
    else:
        save_file(content, str(file))
    with pytest.raises(UserError, match=r"x\.safetensors"):
        initialise(make_model(), "", file)


def write_experiment(folder: Path, symbols: Sequence[str], config: ModelConfig = MODEL) -> AcousticModel:
    """The averaged model and the units of an experiment."""
    torch.manual_seed(2)
    model = make_model(config, len(symbols), bins=20)
    model.feature_mean.fill_(0.5)
    write_text(folder / "units" / "units.txt", "".join(f"{s} {i}\n" for i, s in enumerate(symbols)))
    units = hash_file(folder / "units" / "units.txt")
    save_model(folder / "average" / "model.safetensors", model, {"units": units})
    return model


def test_an_experiment_gives_the_rows_of_the_units_that_both_have(tmp_path: Path) -> None:
    config = msgspec.structs.replace(MODEL, decoder_blocks=1)
    source = write_experiment(tmp_path, ["<blk>", "B", "C", "A"], config)
    model = make_model(config, 4, bins=20)
    before = model.output.weight.clone()
    taken, left = initialise(model, ["<blk>", "A", "B", "D"], tmp_path)
    assert left[0] == "output: 1 new units: D"
    assert {each for each in left[1:] if "decoder" not in each} == set()
    assert {each.split(":")[0] for each in left if "decoder" in each} == {
        *("decoder.embedding.weight", "decoder.output.weight", "decoder.output.bias"),
    }
    assert torch.equal(model.output.weight[[0, 1, 2]], source.output.weight[[0, 3, 1]])
    assert torch.equal(model.output.weight[3], before[3])
    assert torch.equal(model.feature_mean, source.feature_mean)
    assert torch.equal(model.blocks[0].contract.weight, source.blocks[0].contract.weight)
    assert any(name.startswith("decoder.blocks.0") for name in taken)


def test_units_that_start_words_begin_with_the_rows_of_the_unmarked_ones(tmp_path: Path) -> None:
    source = write_experiment(tmp_path, ["<blk>", "B", "A", "▁A"])
    model = make_model(MODEL, 5, bins=20)
    _, left = initialise(model, ["<blk>", "A", "▁A", "▁B", "▁D"], tmp_path)
    assert "output: 1 new units: ▁D" in left
    assert torch.equal(model.output.weight[:4], source.output.weight[[0, 2, 3, 1]])


def test_label_priors_are_taken_out_of_the_bias(tmp_path: Path) -> None:
    source = write_experiment(tmp_path, UNITS.symbols)
    bias, examples = source.output.bias.clone(), make_examples(4, 0)
    priors = divide_by_priors(source, label_priors(source.eval(), examples, 2.0)[0], 0.6)
    assert float((source.output.bias - bias).abs().min()) > 0.1
    made_of = {"units": hash_file(tmp_path / "units" / "units.txt"), "priors": priors.tolist()}
    save_model(tmp_path / "average" / "model.safetensors", source, made_of)
    model = make_model(MODEL, len(UNITS), bins=20)
    initialise(model, UNITS.symbols, tmp_path)
    torch.testing.assert_close(model.output.bias, bias)


def test_a_share_of_the_initial_model_is_in_the_average_without_its_priors(tmp_path: Path) -> None:
    source = write_experiment(tmp_path, ["<blk>", "B", "C", "A"])
    posterior = source.output.bias.clone()
    made_of = {"units": hash_file(tmp_path / "units" / "units.txt"), "priors": [1.0, 2.0, 3.0, 4.0]}
    source.output.bias.data -= torch.tensor(made_of["priors"])
    save_model(tmp_path / "average" / "model.safetensors", source, made_of)
    model = make_model(MODEL, 4, bins=20)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    mixed = mix_initial(model, ["<blk>", "A", "B", "D"], tmp_path, 0.25)
    assert mixed == len(before)
    weight, bias = "blocks.0.contract.weight", before["output.bias"][:3]
    expected = 0.75 * before[weight] + 0.25 * source.state_dict()[weight]
    torch.testing.assert_close(model.state_dict()[weight], expected)
    torch.testing.assert_close(model.output.bias[:3], 0.75 * bias + 0.25 * posterior[[0, 3, 1]])
    assert model.output.bias[3] == before["output.bias"][3]  # a unit that the initial model lacks


@pytest.mark.parametrize(("frames", "expected"), [(300, [0.6, 0.38, 0.1]), (None, [0.8, 0.14, 0.1])])
def test_label_priors_are_pooled_with_those_of_the_initial_model(
    tmp_path: Path, frames: Optional[int], expected: List[float]
) -> None:
    source = write_experiment(tmp_path, ["<blk>", "B", "A"])
    theirs = 0.7 * torch.tensor([0.8, 0.06, 0.14]).log()
    made_of: Dict[str, Any] = {
        "units": hash_file(tmp_path / "units" / "units.txt"),
        "priors": theirs.tolist(),
        **({} if frames is None else {"prior_frames": frames}),
    }
    save_model(tmp_path / "average" / "model.safetensors", source, made_of)
    average = AverageConfig(prior_scale=0.7)
    write_settings(tmp_path, RecipeConfig(name="x", corpus=CorpusConfig(module="tsv"), average=average))
    own = torch.tensor([0.4, 0.62, 0.1])
    pooled, total = pool_priors(["<blk>", "A", "D"], tmp_path, own, 300)  # D is new
    torch.testing.assert_close(pooled, torch.tensor(expected))
    assert total == (None if frames is None else 600)


def test_without_the_units_of_the_experiment_no_row_of_the_output_is_taken(tmp_path: Path) -> None:
    write_experiment(tmp_path, UNITS.symbols)
    (tmp_path / "units" / "units.txt").write_text("<blk> 0\nB 1\nA 2\n")  # not those of the model
    model = make_model(MODEL, bins=20)
    before = model.output.weight.clone()
    taken, left = initialise(model, UNITS.symbols, tmp_path)
    assert "output: the units of the experiment are unknown" in left
    assert torch.equal(model.output.weight, before) and "project.weight" in taken


def test_frozen_parts_and_their_statistics_stay_and_the_others_are_trained(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = make_model(MODEL, bins=20)
    assert freeze(model, ["front", "blocks.0"]) == sum(
        p.numel() for part in (model.front, model.blocks[0]) for p in part.parameters()
    )
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    examples = make_examples(6, 0)
    run_training(Training(model, make_optimizer(model, CONFIG), CONFIG, UNITS, examples, examples, tmp_path))
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved and not {name for name in moved if name.startswith(("front.", "blocks.0."))}
    assert {"project.weight", "output.weight", "norm.weight"} <= moved


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["blocks.9"], "train.freeze has blocks.9"),
        (["front", "project", "blocks", "norm", "output"], "all parts of the model are frozen"),
    ],
)
def test_impossible_parts_are_refused(names: Sequence[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        freeze(make_model(MODEL, bins=20), names)


@pytest.mark.k2
def test_a_recipe_starts_from_an_experiment_and_is_stale_when_its_model_changes(
    yesno: Finished, tmp_path: Path
) -> None:
    start = tmp_path / "start"
    for name in ("recipe.yaml", "average/model.safetensors", "units/units.txt"):
        (start / name).parent.mkdir(parents=True, exist_ok=True)
        (start / name).write_bytes((yesno.exp / name).read_bytes())
    tuned = [f"train.init_from={start}", "train.freeze=[front]", "train.learning_rate=0.001"]
    printed = yesno.run("--stop-stage", "train", settings=tuned)
    assert f"tensors from {start}, 0 not" in printed and "parameters are frozen" in printed
    log = (yesno.exp / "train" / "log.jsonl").read_text().splitlines()
    assert len(log) == 2 and msgspec.json.decode(log[0])["errors"] < 60  # it starts from what was learnt
    printed = yesno.run("--stop-stage", "train", "--dry-run", settings=tuned)
    assert "would skip stage 6 (train): fresh" in printed
    (start / "units" / "units.txt").write_text("<blk> 0\n")
    printed = yesno.run("--stop-stage", "train", "--dry-run", settings=tuned)
    assert f"would run stage 6 (train): {start}/units/units.txt changed" in printed


def test_each_epoch_has_all_own_utterances_and_another_share_of_the_replayed_ones() -> None:
    first, second = (draw_replayed(30, 100, 0.25, seed=1, epoch=epoch) for epoch in range(2))
    assert first[:30] == second[:30] == list(range(30))
    assert len(first) == len(second) == 40 and first != second
    assert all(30 <= place < 130 for place in first[30:]) and len(set(first)) == 40
    assert draw_replayed(30, 100, 0.25, seed=1, epoch=0) == first
    assert draw_replayed(30, 4, 0.5, seed=1, epoch=0) == list(range(34))
    assert draw_replayed(30, 0, 0.0, seed=1, epoch=0) == list(range(30))


def test_a_bundle_and_an_unfinished_experiment_are_refused_before_a_stage_runs(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle/bundle.json").write_text("{}")
    config = RecipeConfig(name="x", corpus=CorpusConfig(module="x"))
    with pytest.raises(UserError, match="is a bundle"):
        refuse_other_features(tmp_path / "bundle", config)
    (tmp_path / "exp").mkdir()
    write_settings(tmp_path / "exp", config)
    with pytest.raises(UserError, match="no averaged model"):
        refuse_other_features(tmp_path / "exp", config)
    (tmp_path / "exp/average").mkdir()
    (tmp_path / "exp/average/model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"bins is 40, and that of train\.init_from 80") as caught:
        refuse_other_features(tmp_path / "exp", replace(config, features=FeaturesConfig(bins=40)))
    assert caught.value.todo == "--set features.bins=80"
    with pytest.raises(UserError, match=r"utterance_mean is True, and that of train\.init_from False"):
        refuse_other_features(tmp_path / "exp", replace(config, model=ModelConfig(utterance_mean=True)))
