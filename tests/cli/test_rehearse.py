"""asrkit rehearse: counts add up, ranks get as many steps, nothing is lost; and what the table says."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from asrkit.cli.rehearse import Cost, command, parse_share, table
from asrkit.config import CorpusConfig
from asrkit.corpus.rehearsal import make_vocabulary, published_counts, rehearsal_utterances
from asrkit.errors import UserError
from asrkit.storage.files import iterate_jsonl, read_json

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


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe" / "recipe.yaml").write_text(SETTINGS)
    (tmp_path / "recipe" / "expect.json").write_text(json.dumps(COUNTS))
    return tmp_path / "recipe"


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


def test_nothing_is_lost_from_manifests_to_scores(recipe: Path, tmp_path: Path) -> None:
    arguments = ["--recipe", str(recipe), "--share", "1", str(tmp_path / "out")]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "counts are those of expect.json" in done.output
    folder = tmp_path / "out" / "share-1-1"
    assert len(list(iterate_jsonl(folder / "features" / "train_cuts.jsonl.gz"))) == 3 * 282
    ranks = re.findall(r"rank \d: (\d+) steps, (\d+) batches, (\d+) utterances", done.output)
    assert len(ranks) == 8 and len({steps for steps, _, _ in ranks}) == 1
    (total,) = re.findall(r"epoch: (\d+) steps, 846 utterances, each once; 0 can't be aligned", done.output)
    assert ranks[0][0] == total and sum(int(utterances) for _, _, utterances in ranks) == 846
    assert all(int(total) - 1 <= int(batches) <= int(total) for _, batches, _ in ranks)
    scored = {of["set"]: of["reference"] for of in read_json(folder / "results.json") if of["unit"] == "word"}
    assert scored == {"dev": 544, "test-clean": 526}
    assert re.fullmatch(r"all: [\d.]+ seconds, at most \d+ MB", done.output.splitlines()[-1])


def test_the_table_compares_the_cost_of_an_utterance() -> None:
    costs = {"1/4": Cost(9.0, 1.0, 10**8), "1": Cost(9.0, 8.0, 10**9)}
    lines = table({share: {"validation": cost} for share, cost in costs.items()})
    assert lines[1].split() == ["validation", "1.0", "100", "8.0", "1000", "x", "2.00"]


@pytest.mark.parametrize("text", ["0", "2", "1/0", "some"])
def test_a_share_that_is_none(text: str) -> None:
    with pytest.raises(UserError, match="such as 1/16"):
        parse_share(text)


def test_a_set_without_published_utterances_is_named(recipe: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)no published counts.*utterances of clean, other, dev, test"):
        published_counts(CorpusConfig(module="none", train_sets=("clean", "other")), recipe / "expect.json")
