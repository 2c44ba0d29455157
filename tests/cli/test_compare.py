"""asrkit compare on two experiments written by hand."""

from pathlib import Path
from typing import Any, Dict

import msgspec
import pytest
import yaml
from click.testing import CliRunner

from asrkit.cli import compare
from asrkit.config.recipe import CorpusConfig, RecipeConfig, ScoreConfig, UnitsConfig
from asrkit.errors import UserError
from asrkit.pipeline.experiment import open_experiment
from asrkit.stages import score
from asrkit.storage.files import write_json, write_jsonl, write_text
from asrkit.text.units import build_units
from tests.storage.json_lines import write_jsonl_gz

TEXTS = {"u1": "GO TO TEN", "u2": "STOP NOW"}


def make(folder: Path, texts: Dict[str, str], hypotheses: Dict[str, str], **settings: Any) -> Path:
    """A scored experiment whose only method is greedy."""
    config = RecipeConfig(
        name="tiny",
        corpus=CorpusConfig(module="tiny"),
        score=ScoreConfig(bootstrap_samples=50, **settings),
    )
    write_text(folder / "recipe.yaml", yaml.safe_dump(msgspec.to_builtins(config)))
    experiment = open_experiment(folder)
    build_units(UnitsConfig(kind="characters"), list(texts.values()), experiment.folder("units"))
    rows = [{"id": key, "speaker": "s", "text": text} for key, text in texts.items()]
    write_jsonl_gz(experiment.folder("manifests") / "test_supervisions.jsonl.gz", rows)
    write_jsonl_gz(experiment.folder("manifests") / "test_cuts.jsonl.gz", ({"id": key} for key in texts))
    decoded = experiment.folder("decode") / "test"
    found = [{"id": key, "hyp": text.split()} for key, text in hypotheses.items()]
    write_jsonl(decoded / "hypotheses_greedy.jsonl", found)
    timing = {"audio_seconds": 1.0, "seconds": 1.0, "fallbacks": {}, "settings": {}}
    write_json(decoded / "timing_greedy.json", timing)
    score.run(experiment)
    return folder


def run(*arguments: object) -> str:
    result = CliRunner().invoke(compare.command, [str(each) for each in arguments])
    if result.exception is not None:
        raise result.exception
    return result.output


def test_compares_every_test_set_and_method_of_both(tmp_path: Path) -> None:
    a = make(tmp_path / "a", TEXTS, {"u1": "GO TO", "u2": "STOP NOW"})
    b = make(tmp_path / "b", TEXTS, {"u1": "GO TO TEN", "u2": "STOP NOW"})
    lines = run(a, b).splitlines()
    assert lines[0] == "test greedy"
    assert lines[1].endswith("WER 1/5 = 20.00 %")
    assert "B - A   -1 errors = -20.00 %" in lines[3]
    assert run(a, b, "--set-name", "test", "--method", "greedy").splitlines() == lines


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    a = make(tmp_path / "a", TEXTS, TEXTS)
    with pytest.raises(UserError, match="no results of test 1best in both") as error:
        run(a, a, "--set-name", "test", "--method", "1best")
    assert error.value.expected.endswith("test greedy")
    with pytest.raises(UserError, match="is no experiment"):
        run(a, tmp_path / "absent")


def test_other_references_and_other_normalisation_are_refused(tmp_path: Path) -> None:
    a = make(tmp_path / "a", TEXTS, TEXTS)
    other = {**TEXTS, "u2": "STOP THERE"}
    with pytest.raises(UserError, match="1 utterances with another reference: u2"):
        run(a, make(tmp_path / "b", other, other))
    with pytest.raises(UserError, match="A has none, B has lower"):
        run(a, make(tmp_path / "c", TEXTS, TEXTS, normalise=("lower",)))
