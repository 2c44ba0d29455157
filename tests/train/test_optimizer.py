import msgspec
import pytest
import torch

from asrkit.config import TrainConfig
from asrkit.model.acoustic import AcousticModel
from asrkit.train.optimizer import Muon, learning_rate, make_optimizer, orthogonal_update, orthogonalise
from tests.train.tiny import MODEL


@pytest.mark.parametrize("shape", [(24, 24), (24, 96), (96, 24)])
def test_orthogonalise_moves_singular_values_to_one_and_keeps_vectors(shape: "tuple[int, int]") -> None:
    torch.manual_seed(0)
    u, _, v = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    values = torch.linspace(1.0, 0.2, min(shape))
    found = u.T @ orthogonalise(u @ values.diag() @ v) @ v.T
    assert float(found.diag().min()) > 0.6 and float(found.diag().max()) < 1.3
    assert float((found - found.diag().diag()).abs().max()) < 1e-4


def test_stacked_matrices_are_orthogonalised_separately() -> None:
    torch.manual_seed(0)
    query, key = torch.randn(8, 8), 1000 * torch.randn(8, 8)
    together = orthogonal_update(torch.cat([query, key]), matrices=2)
    alone = torch.cat([orthogonal_update(query, 1), orthogonal_update(key, 1)])
    torch.testing.assert_close(together, alone)


def test_muon_gets_hidden_matrices_only() -> None:
    model = AcousticModel(MODEL, bins=20, units=5)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = make_optimizer(model, TrainConfig()).param_groups
    muon = {names[id(p)] for group in groups if group["matrices"] for p in group["params"]}
    others = set(names.values()) - muon
    assert {"front.layer1.0.conv1.weight", "project.weight", "blocks.0.expand.weight"} <= muon
    assert {"front.conv1.weight", "output.weight", "blocks.0.convolution.depthwise.weight"} <= others
    assert all(model.get_parameter(name).dim() > 1 for name in muon)
    assert sum(len(group["params"]) for group in groups) == len(names)
    (packed,) = [group["params"] for group in groups if group["matrices"] == 3]
    assert [names[id(p)] for p in packed] == ["blocks.0.attention.query_key_value.weight"]


def test_layers_of_a_transducer_that_read_or_predict_units_are_not_muons() -> None:
    model = AcousticModel(msgspec.structs.replace(MODEL, transducer=True), bins=20, units=5)
    groups = make_optimizer(model, TrainConfig()).param_groups
    muon = {id(p) for group in groups if group["matrices"] for p in group["params"]}
    found = {name for name, p in model.named_parameters() if name.startswith("transducer.") and id(p) in muon}
    assert found == {"transducer.predictor.weight", "transducer.encoder.weight"}


def test_other_parameters_get_adamw_updates() -> None:
    def bias_after_steps(optimizer: str) -> torch.Tensor:
        torch.manual_seed(0)
        model = AcousticModel(MODEL, bins=20, units=5)
        steps = make_optimizer(model, TrainConfig(optimizer=optimizer, learning_rate=0.01))  # type: ignore
        assert isinstance(steps, Muon)
        for _ in range(3):
            for parameter in model.parameters():
                parameter.grad = torch.full_like(parameter, 0.5)
            steps.step()
        return model.output.bias.detach()

    torch.testing.assert_close(bias_after_steps("muon"), bias_after_steps("adamw"))


def test_learning_rate_warms_up_and_ends_at_its_fraction() -> None:
    config = TrainConfig(learning_rate=1.0, warmup_steps=10, final_rate_fraction=0.1)
    assert learning_rate(config, 0, 0.0) == pytest.approx(0.1)
    assert learning_rate(config, 9, 0.0) == pytest.approx(1.0)
    assert learning_rate(config, 500, 0.5) == pytest.approx(0.55)
    assert learning_rate(config, 1000, 1.0) == pytest.approx(0.1)


def test_noam_decays_with_the_square_root_of_steps() -> None:
    config = TrainConfig(schedule="noam", learning_rate=1.0, warmup_steps=100)
    assert learning_rate(config, 49, 0.0) == pytest.approx(0.5)
    assert learning_rate(config, 99, 0.1) == pytest.approx(1.0)
    assert learning_rate(config, 399, 0.9) == pytest.approx(0.5)


def test_eden_decays_with_steps_and_epochs() -> None:
    config = TrainConfig(schedule="eden", learning_rate=1.0, warmup_steps=0, epochs=12)
    assert learning_rate(config, 0, 0.0) == pytest.approx(1.0)
    assert learning_rate(config, 5000, 0.0) == pytest.approx(2**-0.25)
    assert learning_rate(config, 5000, 0.5) == pytest.approx(2**-0.5)
