"""Records of an earlier version: settings that were renamed, removed or added since leave a stage fresh."""

import json
from typing import Any, Callable, Dict

import pytest

from asrkit.config.recipe import LmConfig, ScoreConfig
from asrkit.pipeline.experiment import open_experiment
from asrkit.pipeline.finished import refuse_changed
from asrkit.pipeline.freshness import judge
from asrkit.pipeline.record import Origin, made_with, read_record, write_note
from asrkit.pipeline.runner import cache_of
from asrkit.pipeline.workspace import RECORD, begin, find_training
from tests.pipeline.toy import STAGES, Toy

FETCH, COLLECT, COUNT, TELL = STAGES


@pytest.fixture(autouse=True)
def renamed(monkeypatch: pytest.MonkeyPatch, finished: Toy) -> None:
    monkeypatch.setattr(LmConfig, "renamed", {"grams": "lm.n", "n": "lm.order", "masks": "lm: [{}]"})
    monkeypatch.setattr(LmConfig, "removed", {"factors": (0.9, 1.0), "smoothing": "kneser-ney"})
    monkeypatch.setattr(ScoreConfig, "renamed", {"draws": "score.bootstrap_samples"})
    monkeypatch.syspath_prepend(str(finished.folder))


def change_record(toy: Toy, stage: str, change: Callable[[Dict[str, Any]], object]) -> None:
    """Change the settings in a stage's record, and its key with them."""
    file = toy.exp / "stages" / f"{stage}.json"
    record = json.loads(file.read_text())
    change(record["settings"])
    record["key"] = Origin(record["inputs"], record["settings"], record["version"]).key
    file.write_text(json.dumps(record))
    if stage == "tell":
        (toy.exp / "tell" / RECORD).write_text(json.dumps(record))


def move(settings: Dict[str, Any], old: str, new: str) -> None:
    settings[new] = settings.pop(old)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda settings: move(settings, "lm.order", "lm.grams"), ""),  # renamed twice
        (lambda settings: settings.update({"lm.factors": [0.9, 1.0], "lm.smoothing": "kneser-ney"}), ""),
        (lambda settings: settings.pop("lm.order"), ""),  # new since, and at its default
        (lambda settings: settings.update({"lm.n": settings.pop("lm.order") + 1}), "lm.order: 4 -> 3"),
        (lambda settings: settings.update({"lm.factors": [0.9]}), "lm.factors: [0.9] -> not there"),
        (lambda settings: settings.update({"lm.masks": 2}), "lm.masks: 2 -> not there"),
    ],
)
def test_a_stage_is_stale_only_if_a_setting_means_something_else(
    finished: Toy, change: Callable[[Dict[str, Any]], object], reason: str
) -> None:
    change_record(finished, "count", change)
    judgement = judge(COUNT, finished.experiment(), cache_of(finished.experiment()))
    assert judgement.reason == (f"setting {reason}" if reason else "")
    assert judgement.state == ("stale" if reason else "fresh")


def test_a_new_setting_that_is_not_at_its_default_makes_a_stage_stale(finished: Toy) -> None:
    change_record(finished, "count", lambda settings: settings.pop("lm.order"))
    finished.write("recipes/toy/recipe.yaml", "name: toy\ncorpus: {module: toy}\nlm: {order: 2}\n")
    judgement = judge(COUNT, finished.experiment(), cache_of(finished.experiment()))
    assert judgement.reason == "setting lm.order: not there -> 2"


def test_a_kept_training_is_found_and_an_experiment_opened_under_earlier_names(finished: Toy) -> None:
    move_draws = lambda settings: move(settings, "score.bootstrap_samples", "score.draws")  # noqa: E731
    change_record(finished, "tell", move_draws)
    experiment = finished.experiment()
    cache = cache_of(experiment)
    judgement = judge(TELL, experiment, cache)
    assert judgement.state == "fresh"
    found, _ = find_training(TELL, experiment, judgement.origin, cache)
    assert found is not None
    record = read_record(TELL, experiment)
    assert record is not None
    assert "score.bootstrap_samples" in made_with([record])
    written = (finished.exp / "recipe.yaml").read_text()
    (finished.exp / "recipe.yaml").write_text(written.replace("bootstrap_samples", "draws"))
    refuse_changed(TELL, open_experiment(finished.exp), cache)


def leave_unfinished(toy: Toy, change: Callable[[Dict[str, Any]], object]) -> str:
    """Turn the training into one that an earlier version started and didn't finish; returns its key."""
    experiment = toy.experiment()
    origin = judge(TELL, experiment, cache_of(experiment)).origin
    settings = dict(origin.settings)
    change(settings)
    before = Origin(origin.inputs, settings, origin.version)
    folder = (toy.exp / "tell").resolve()
    (folder / RECORD).unlink()
    (toy.exp / "stages" / "tell.json").unlink()
    (toy.exp / "tell").unlink()
    write_note(folder.rename(folder.with_name("toy-by-an-earlier-version")), before, None)
    return before.key


@pytest.mark.parametrize("change", ["new", "renamed"])
def test_an_unfinished_training_of_an_earlier_version_is_resumed(finished: Toy, change: str) -> None:
    key = leave_unfinished(
        finished,
        (lambda settings: settings.pop("score.confidence"))
        if change == "new"
        else (lambda settings: move(settings, "score.bootstrap_samples", "score.draws")),
    )
    experiment = finished.experiment()
    judgement = judge(TELL, experiment, cache_of(experiment))
    folder, note = begin(TELL, experiment, judgement.origin, afresh=False)
    assert folder.name == "toy-by-an-earlier-version"
    assert note.key == key  # which its checkpoints hold


def test_an_unfinished_training_with_other_settings_is_kept_beside(finished: Toy) -> None:
    leave_unfinished(finished, lambda settings: settings.update({"score.confidence": 0.5}))
    experiment = finished.experiment()
    folder, _ = begin(TELL, experiment, judge(TELL, experiment, cache_of(experiment)).origin, afresh=False)
    assert folder.name.startswith("toy-") and folder.name != "toy-by-an-earlier-version"
    assert (folder.parent / "toy-by-an-earlier-version" / "report.txt").exists()
