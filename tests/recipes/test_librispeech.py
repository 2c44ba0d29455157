"""The recipe librispeech in miniature on real fragments: from manifests to scores, as a partial corpus."""

from pathlib import Path
from typing import Callable, List

import pytest

pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = [pytest.mark.k2, pytest.mark.recipe]

from asrkit.corpus.manifests import read_cuts  # noqa: E402
from asrkit.storage.files import read_json, read_jsonl  # noqa: E402
from tests.recipes.miniature import run_recipe  # noqa: E402

SETTINGS = [
    "corpus.train_sets=[train-clean-100]",
    "corpus.dev_speakers=['26']",  # dev-clean and dev-other are absent
    "units.vocabulary_size=100",
    *("lm.arpa=null", "lm.rescore_arpa=null", "lm.rescore_order=null", "train.noise.directory=null"),
]
PARTIAL = "372 of 39,665 utterances"


def test_fragments_are_refused_unless_a_partial_corpus_is_asked_for(
    corpora: Callable[[str], Path], tmp_path: Path
) -> None:
    corpus = corpora("librispeech")
    without_dev: List[str] = ["corpus.dev_sets=[]", *SETTINGS]
    refused = run_recipe("librispeech", corpus, tmp_path, "--stop-stage", "1", settings=without_dev)
    assert refused.returncode == 1
    assert "train-clean-100 utterances: found 288, expected 28,539" in refused.stderr
    assert "test-clean words: found 58, expected 52,576" in refused.stderr
    assert "--partial" in refused.stderr


def test_all_stages_on_the_fragments(corpora: Callable[[str], Path], tmp_path: Path) -> None:
    done = run_recipe("librispeech", corpora("librispeech"), tmp_path, "--partial", settings=SETTINGS)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    manifests = tmp_path / "manifests"
    statistics = read_json(manifests / "statistics.json")
    assert statistics["partial"] == PARTIAL
    counts = {
        name: (of["utterances"], of["speakers"], of["words"]) for name, of in statistics["splits"].items()
    }
    assert counts == {
        "train": (261, 14, 7200),
        "dev": (27, 1, 781),
        "test-clean": (4, 1, 58),
        "test-other": (80, 8, 1473),
    }
    assert {cut.supervisions[0].speaker for cut in read_cuts(manifests, "dev")} == {"26"}
    assert read_jsonl(manifests / "rejected.jsonl") == []
    results = {(row["set"], row["method"], row["unit"]): row for row in read_json(tmp_path / "results.json")}
    assert len(results) == 18
    assert results["test-other", "hlg", "word"]["reference"] == 1473
    assert {row["partial"] for row in results.values()} == {PARTIAL}
    table = [line for line in (tmp_path / "RESULTS.md").read_text().splitlines() if "| test-other |" in line]
    assert len(table) == 6
    assert all(f"partial: {PARTIAL}" in line for line in table)
    assert done.stdout.count(f"partial: {PARTIAL}") == 19
