"""The recipe aishell in miniature on a real sample: from manifests to scores, as a partial corpus."""

import re
from pathlib import Path
from typing import Callable, Set

import pytest

pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = [pytest.mark.k2, pytest.mark.recipe]

from asrkit.corpus.manifests import read_cuts  # noqa: E402
from asrkit.pipeline.experiment import open_experiment  # noqa: E402
from asrkit.storage.files import read_json  # noqa: E402
from asrkit.text.units import WORD_START, read_symbols  # noqa: E402
from tests.recipes.miniature import run_recipe  # noqa: E402

# The sample has no test set: its dev set is that, and a speaker of training is dev instead.
SETTINGS = ["corpus.dev=held-out", "corpus.dev_speakers=[S0252]", "corpus.tests=[dev]"]
PARTIAL = "190 of 134,424 utterances"


@pytest.fixture(scope="module")
def finished(corpora: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    exp = tmp_path_factory.mktemp("aishell")
    done = run_recipe("aishell", corpora("aishell"), exp, "--partial", settings=SETTINGS)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return exp


def test_all_stages_on_the_sample(finished: Path) -> None:
    statistics = read_json(finished / "manifests" / "statistics.json")
    assert statistics["partial"] == PARTIAL
    counts = {name: (of["utterances"], of["speakers"]) for name, of in statistics["splits"].items()}
    assert counts == {"train": (75, 1), "held-out": (75, 1), "dev": (40, 2)}
    assert all(of["words"] == of["characters"] for of in statistics["splits"].values())
    results = read_json(finished / "results.json")
    tested = [row for row in results if row["role"] == "test"]
    assert [(row["set"], row["method"]) for row in tested[::3]] == [("dev", "greedy"), ("dev", "1best")]
    assert {row["unit"] for row in tested[::3]} == {"character"}
    assert {row["partial"] for row in results} == {PARTIAL}
    lines = (finished / "RESULTS.md").read_text().splitlines()
    table = [line for line in lines if re.match(r"\| dev \| \S+ \| \d+/", line)]
    assert table[0].startswith("| dev | greedy | ")
    assert all(f"partial: {PARTIAL}" in line for line in table)


def test_units_words_and_language_model_are_of_training_text_alone(finished: Path) -> None:
    def characters(split: str) -> Set[str]:
        cuts = read_cuts(open_experiment(finished), split)
        return {word for cut in cuts for word in cut.supervisions[0].text.split()}

    trained = characters("train")
    assert len(characters("dev") - trained) > 50  # so that the next lines say something
    units = read_symbols(finished / "units" / "units.txt")
    assert {unit[len(WORD_START) :] for unit in units[1:]} == trained
    words = read_symbols(finished / "units" / "words.txt")
    assert set(words[1:-2]) == trained
    unigrams = (finished / "lm" / "lm.arpa").read_text().partition("\\2-grams:")[0].split()
    others = (characters("dev") | characters("held-out")) - trained
    assert not others.intersection(unigrams)
