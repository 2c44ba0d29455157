"""The source files that a stage runs."""

from pathlib import Path
from typing import Dict

from asrkit.pipeline.code import code_fingerprints, stage_modules
from asrkit.pipeline.experiment import REPOSITORY, Experiment
from asrkit.stages.table import STAGES
from asrkit.storage.fingerprint import FingerprintCache
from tests.pipeline.toy import settings


def closure(name: str, tmp_path: Path, module: str = "yesno") -> Dict[str, str]:
    """Fingerprints of the real stage `name`."""
    stage = next(stage for stage in STAGES if stage.name == name)
    recipe = REPOSITORY / "recipes" / module
    experiment = Experiment(settings(module=module), tmp_path, tmp_path, recipe, 1)
    cache = FingerprintCache(tmp_path / "cache.json")
    return code_fingerprints(stage_modules(stage, experiment), experiment, cache)


def test_training_depends_on_the_model_and_decoding_graphs_do_not(tmp_path: Path) -> None:
    training, graph = closure("train", tmp_path), closure("graph", tmp_path)
    assert {"asrkit/stages/train.py", "asrkit/train/session.py"} <= set(training)
    assert {"asrkit/model/front.py", "asrkit/train/loop.py"} <= set(training)
    assert "asrkit/graph/compile.py" in graph
    assert not [file for file in graph if file.startswith(("asrkit/model", "asrkit/train", "asrkit/signal"))]
    assert not [file for file in training if file.startswith(("asrkit/decode", "asrkit/score"))]
    assert not {"asrkit/lm/build.py", "asrkit/lm/kneser_ney.py", "asrkit/graph/compile.py"} & set(training)


def test_corpus_code_belongs_to_the_stages_that_run_it(tmp_path: Path) -> None:
    assert "local/yesno.py" in closure("download", tmp_path)
    assert "local/an4.py" in closure("manifests", tmp_path, "an4")
    assert "local/yesno.py" not in closure("manifests", tmp_path, "an4")
    assert not [file for file in closure("features", tmp_path) if file.startswith("local/")]


def test_settings_errors_and_machinery_are_left_out(tmp_path: Path) -> None:
    for stage in STAGES:
        files = set(closure(stage.name, tmp_path)) - {f"asrkit/stages/{stage.name}.py"}
        excluded = ("asrkit/config/", "asrkit/pipeline/", "asrkit/stages/", "asrkit/cli/", "asrkit/errors.py")
        assert not [file for file in files if file.startswith(excluded)]
        assert [file for file in files if file.startswith("asrkit/")]
