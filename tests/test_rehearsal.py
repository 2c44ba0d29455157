"""benchmarks/rehearsal.py: counts add up, ranks get as many steps, nothing is lost; what the table shows."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from asrkit.config import CorpusConfig
from asrkit.errors import UserError
from asrkit.pipeline.experiment import REPOSITORY
from asrkit.storage.files import iterate_jsonl, read_json

sys.path.insert(0, str(REPOSITORY / "benchmarks"))

from made_up_corpus import make_vocabulary, published_counts, rehearsal_utterances
from rehearsal import Cost, table

SETTINGS = """
name: rehearsed
corpus: {module: none, train_sets: [clean, other], dev_sets: [dev-clean], tests: [test-clean]}
units: {vocabulary_size: 60}
features: {shard_utterances: 100}
model: {stage_channels: [8, 8, 8, 8], stem_channels: 8, attention_blocks: 1, attention_dim: 32}
train: {batch_duration: 400}
score: {bootstrap_samples: 100}
"""
COUNTS = {
    "clean": {"utterances": 133, "speakers": 3, "hours": 0.46},
    "other": {"utterances": 149, "speakers": 2, "hours": 0.5},
    "dev-clean": {"utterances": 27, "speakers": 2, "words": 544, "hours": 0.05},
    "test-clean": {"utterances": 26, "speakers": 2, "words": 526, "hours": 0.05},
}
CORPUS = CorpusConfig(
    module="none", train_sets=("clean", "other"), dev_sets=("dev-clean",), tests=("test-clean",)
)


WASTE = 10**8  # bytes that stage units is made to keep
WASTEFUL = f"""
import sys
sys.path.insert(0, "benchmarks")
import rehearsal
from asrkit.stages import units
kept, run_units = [], units.run
def run(experiment):
    run_units(experiment)
    kept.append(b"x" * {WASTE})
units.run = run
rehearsal.run_measurement(rehearsal.measure)
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    (folder / "recipe.yaml").write_text(SETTINGS)
    (folder / "expect.json").write_text(json.dumps(COUNTS))
    return folder


@pytest.fixture(scope="module")
def rehearsed(recipe: Path) -> str:
    """What the rehearsal prints; in a process of its own, for it forks."""
    arguments = ["--recipe", str(recipe), "--share", "1", "--directory", str(recipe / "out")]
    command = [sys.executable, "-c", WASTEFUL, *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_counts_durations_and_words_are_as_published(recipe: Path) -> None:
    counts = published_counts(CORPUS, recipe / "expect.json")
    vocabulary = make_vocabulary(CORPUS, counts)
    assert len(set(vocabulary)) == len(vocabulary) == 80_000
    made = [rehearsal_utterances(counts, CORPUS, vocabulary, 1.0, seed, recipe) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
    utterances, facts = made[0]
    for own_set, expected in COUNTS.items():
        of = [one for one in utterances if one.split == own_set]
        seconds = [facts[one.audio].samples / facts[one.audio].sampling_rate for one in of]
        assert (len(of), len({one.speaker for one in of})) == (expected["utterances"], expected["speakers"])
        assert sum(seconds) / 3600 == pytest.approx(expected["hours"], rel=0.02)
        assert min(seconds) >= 1.3 and max(seconds) <= 35
        words = sum(len(one.text.split()) for one in of)
        assert words == pytest.approx(expected.get("words", 2.7 * sum(seconds)), abs=0.5)


def test_nothing_is_lost_from_manifests_to_scores(recipe: Path, rehearsed: str) -> None:
    assert "counts match expect.json" in rehearsed
    folder = recipe / "out" / "share-1-1"
    assert len(list(iterate_jsonl(folder / "features" / "train_cuts.jsonl.gz"))) == 3 * 282
    ranks = re.findall(r"rank \d: (\d+) steps, (\d+) batches, (\d+) utterances", rehearsed)
    assert len(ranks) == 8 and len({steps for steps, _, _ in ranks}) == 1
    (total,) = re.findall(r"epoch: (\d+) steps, 846 utterances, each once; 0 can't be aligned", rehearsed)
    assert ranks[0][0] == total and sum(int(utterances) for _, _, utterances in ranks) == 846
    assert all(int(total) - 1 <= int(batches) <= int(total) for _, batches, _ in ranks)
    scored = {of["set"]: of["reference"] for of in read_json(folder / "results.json") if of["unit"] == "word"}
    assert scored == {"dev": 544, "test-clean": 526}
    assert re.fullmatch(r"\w+_rehearsal_seconds: [\d.]+", rehearsed.splitlines()[-1])


def test_a_stage_holds_nothing_of_the_one_before(rehearsed: str) -> None:
    of_units, of_lm = (
        int(re.search(rf"{step}: [\d.]+ s, (\d+) MB", rehearsed)[1])  # type: ignore[index]
        for step in ("units and lexicon", "language model")
    )
    assert of_lm < of_units - WASTE / 1e6 / 2


def test_the_table_compares_the_cost_of_an_utterance() -> None:
    costs = {"1/4": Cost(9.0, 1.0, 10**8), "1": Cost(9.0, 8.0, 10**9)}
    lines = table({share: {"validation": cost} for share, cost in costs.items()})
    assert lines[1].split() == ["validation", "1.0", "100", "8.0", "1000", "x", "2.00"]


def test_a_set_without_published_utterances_is_named(recipe: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)no published counts.*utterances of clean, other, dev, test"):
        published_counts(CorpusConfig(module="none", train_sets=("clean", "other")), recipe / "expect.json")
