"""What the page shows of an experiment written by hand."""

import base64
import dataclasses
import io
import random
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from asrkit.cli import compare, show
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.show import stored
from asrkit.show.data import Page, collect
from asrkit.show.page import render
from asrkit.show.sampling import sample
from asrkit.show.systems import labels_of
from asrkit.show.utterances import describe_nbest, sparse_posteriors
from asrkit.show.word_graph import Node, of_hypotheses
from asrkit.storage.files import read_jsonl, write_jsonl
from tests.show.conftest import (
    FIRST_PASS,
    FRAMES,
    HOSTILE,
    HYPOTHESES,
    LISTED,
    RATE,
    REFERENCES,
    make_experiment,
    pairs_of,
)


def test_headline_is_the_method_chosen_on_dev(experiment: Experiment) -> None:
    overview = collect({"tiny": experiment}).main["systems"][0]
    assert (overview["method"], overview["timed"]) == (FIRST_PASS, FIRST_PASS)
    first = overview["results"][0]
    assert [first[key] for key in ("set", "errors", "reference", "rate")] == [
        "test",
        3,
        14,
        pytest.approx(300 / 14),
    ]
    assert (first["substitutions"], first["deletions"], first["insertions"]) == (1, 1, 1)
    assert overview["facts"] == [
        *(["parameters", "1,234,567"], ["training time", "1.5 min"], ["all stages", "1.5 min"])
    ]


def test_curves_and_scales(experiment: Experiment) -> None:
    overview = collect({"tiny": experiment}).main["systems"][0]
    assert [row["dev_wer"] for row in overview["curves"]] == [pytest.approx(100 * n / 14) for n in (8, 4, 2)]
    sweep = overview["sweeps"]
    assert (sweep["set"], sweep["words"]) == ("dev", 14)
    assert sweep["methods"][0]["chosen"] == {"lm_scale": 0.5, "word_bonus": 1.0}
    assert len(sweep["methods"][0]["tried"]) == 4


def test_errors_by_kind_speaker_and_length(experiment: Experiment) -> None:
    found = collect({"tiny": experiment}).main["sets"][0]["systems"][0]
    assert found["confusions"] == {
        "substitutions": [["TO", "TWO", 1]],
        "deletions": [["NOW", "", 1]],
        "insertions": [["", "ON", 1]],
    }
    assert found["speakers"] == {"anna": [2, 5], "ben": [1, 9]}
    assert found["lengths"] == {"1-4": [3, 9], "5-8": [0, 5]}
    assert found["calibration"]["words"] == 14


def test_an_utterance_with_all_that_is_known_of_it(experiment: Experiment) -> None:
    page = collect({"tiny": experiment})
    row, detail = page.main["utterances"][0], page.details[0]
    assert (row["id"], row["speaker"], row["seconds"], row["why"]) == ("u1", "anna", 1.0, "")
    assert pairs_of(row) == [("GO", "GO"), ("TO", "TWO"), ("TEN", "TEN")]
    system = row["systems"][0]
    assert [(word, correct) for word, _, _, _, correct in system["times"]] == [
        *(("GO", True), ("TWO", False), ("TEN", True))
    ]
    assert system["others"] == [["greedy", 2, "GO"], [LISTED, 0, "GO TO TEN"]]
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(detail["audio"])), dtype="int16")
    original, _ = soundfile.read(experiment.corpus_directory / "audio" / "u1.wav", dtype="int16")
    assert rate == RATE and np.array_equal(samples, original)
    posteriors = detail["systems"][0]["posteriors"]
    symbols = stored.read_symbols(experiment)
    assert posteriors["tokens"] == [symbols[1]]
    assert posteriors["frames"] == [[0, 70] if at == 5 else [] for at in range(FRAMES)]
    assert (posteriors["blank"][5], posteriors["step"]) == (25, pytest.approx(0.04))
    nbest = detail["systems"][0]["nbest"]
    assert nbest["columns"] == ["total", "acoustic", "language model", "words"]
    # -1 - 2 / 2 + 3 = 1 and -2 - 1 / 2 + 1 = -1.5; the same words at a lower score are left out
    assert [(each["words"], each["errors"], each["scores"][0]) for each in nbest["rows"]] == [
        (["GO", "TO", "TEN"], 0, 1.0),
        (["GO"], 2, -1.5),
    ]
    graph = detail["systems"][0]["graph"]
    best = 1 / (1 + np.exp(-2.5))
    probable, rest = pytest.approx(best, abs=1e-3), pytest.approx(1 - best, abs=1e-3)
    words = [["GO", 1.0, 1.0], ["TO", 2.0, probable], ["TEN", 3.0, probable]]
    assert graph["source"] == "n-best list"
    assert graph["nodes"] == [["", 0.0, 1.0], *words, ["", 4.0, 1.0]]
    skip = [1, 4, rest]
    assert graph["edges"] == [[0, 1, 1.0], [1, 2, probable], skip, [2, 3, probable], [3, 4, probable]]
    assert page.main["notes"] == ["test: lattices not available for 5 of 5 utterances"]


def test_tokens_below_a_hundredth_are_left_out() -> None:
    frames = np.array([[0.5, 0.009, 0.491], [0.985, 0.011, 0.004]])
    found = sparse_posteriors(frames, ["<blk>", "A", "B"], 0.04)
    assert found == {"tokens": ["B", "A"], "frames": [[0, 49], [1, 1]], "blank": [50, 98], "step": 0.04}


def test_what_is_lacking_is_noted_and_the_rest_shown(experiment: Experiment) -> None:
    (experiment.corpus_directory / "audio" / "u2.wav").unlink()
    for file in (experiment.directory / "posteriors" / "test").iterdir():
        file.write_bytes(file.read_bytes()[:-9])
    page = collect({"tiny": experiment})
    assert page.main["notes"][0] == "test: audio not available for 1 of 5 utterances"
    assert page.main["notes"][1].startswith("test: posteriors not available for 5 of 5 utterances: ")
    assert [detail["audio"] is None for detail in page.details] == [False, True, False, False, False]


def test_an_undecoded_utterance_is_shown_with_its_reason(experiment: Experiment) -> None:
    row = {"id": "u3", "split": "test", "reason": "shorter than its text"}
    write_jsonl(experiment.folder("features") / "rejected.jsonl", [row])
    for file in (experiment.folder("decode") / "test").glob("hypotheses_*.jsonl"):
        write_jsonl(file, [each for each in read_jsonl(file) if each["id"] != "u3"])
    page = collect({"tiny": experiment})
    shown, detail = page.main["utterances"][2], page.details[2]
    assert (shown["rejected"], pairs_of(shown)) == ("shorter than its text", [("GO", ""), ("ON", "")])
    assert detail == {"audio": None, "systems": [{}]}


def test_hypotheses_that_a_model_excludes_are_last_and_not_in_the_graph() -> None:
    scores = np.array([[-1.0, -np.inf, 1.0], [-2.0, -2.0, 1.0]])
    found = stored.rank(LISTED, [["GO"], ["NO"]], scores, {"lm_scale": 0.0, "word_bonus": 0.0})
    assert [(each.words, each.total) for each in found.candidates] == [(["NO"], -2.0), (["GO"], -np.inf)]
    assert of_hypotheses(found.shares()).nodes[1:-1] == [Node("NO", 1.0, 1.0)]
    page = Page({"title": "tiny"}, [describe_nbest(found, ["GO"])])
    assert '"scores":[null,-1.0,null,1.0]' in "".join(render(page))


def rows(errors: List[int], words: List[str]) -> List[Dict[str, Any]]:
    return [
        {"id": f"u{at}", "words": text.split(), "systems": [{"errors": count}]}
        for at, (count, text) in enumerate(zip(errors, words))
    ]


def test_a_larger_set_is_sampled_by_errors_rare_words_and_chance() -> None:
    all_rows = rows([0, 9, 0, 0, 8, 0, 0, 0, 0, 0], ["A"] * 6 + ["B", "A C", "A", "A"])
    counts = {"A": 100, "B": 2}
    found = sample(all_rows, 6, 0, lambda: counts)
    why = {row["id"]: row["why"] for row in found}
    assert {key for key, reason in why.items() if reason == "worst"} == {"u1", "u4"}
    assert {key for key, reason in why.items() if reason == "rare words"} == {"u6", "u7"}
    assert list(why.values()).count("random") == 2
    assert found == sample(all_rows, 6, 0, lambda: counts)
    assert (
        len({tuple(row["id"] for row in sample(all_rows, 6, seed, lambda: counts)) for seed in range(9)}) > 1
    )
    assert [row["id"] for row in found] == sorted(row["id"] for row in found)


@pytest.mark.parametrize("limit", range(1, 12))
def test_a_sample_has_as_many_as_asked_for(limit: int) -> None:
    generator = random.Random(limit)
    all_rows = rows([generator.randrange(5) for _ in range(10)], ["A"] * 10)
    assert len(sample(all_rows, limit, 0, dict)) == min(limit, 10)


def test_two_experiments_side_by_side(experiment: Experiment, tmp_path: Path) -> None:
    better = make_experiment(
        tmp_path / "better", experiment.corpus_directory, {**HYPOTHESES, "u1": REFERENCES["u1"]}
    )
    file = tmp_path / "page.html"
    arguments = [str(experiment.directory), str(better.directory), "--html", str(file)]
    done = CliRunner().invoke(compare.command, arguments)
    assert done.exception is None, done.output
    assert "B - A   -1 errors = -7.14 %" in done.output and "5 of 5 utterances" in done.output
    assert '"labels":["exp","better"]' in file.read_text(encoding="utf-8")
    main = collect({"a": experiment, "b": better}, method="greedy").main
    assert main["sets"][0]["difference"]["rate"] == 0.0
    main = collect({"a": experiment, "b": better}).main
    assert [system["errors"] for system in main["utterances"][0]["systems"]] == [1, 0]
    assert main["sets"][0]["difference"]["rate"] == pytest.approx(-100 / 14)
    assert main["sets"][0]["difference"]["better"] == [0, 1]


def test_labels_tell_experiments_apart() -> None:
    assert labels_of([Path("/x/a"), Path("/x/b")]) == ["a", "b"]
    assert labels_of([Path("/x/exp"), Path("/y/exp")]) == ["x/exp", "y/exp"]
    assert len(set(labels_of([Path("/x"), Path("/x")]))) == 2


def test_verb_writes_one_file_without_markup_from_data(experiment: Experiment, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        show.command, [str(experiment.directory), "--output", str(tmp_path / "page.html")]
    )
    assert done.exception is None, done.output
    assert "5 of 5 utterances" in done.output
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert HOSTILE not in text and "\\u003c/script>" in text
    assert text.count("</script>") == text.count("<script") == 7  # the data, five details, the script
    for word in ("http:", "https:", "src=", "@import", "url("):
        assert word not in text.replace("http://www.w3.org/2000/svg", "")


def test_what_can_not_be_shown_is_named(experiment: Experiment) -> None:
    with pytest.raises(UserError, match="no results of dev-other") as error:
        collect({"tiny": experiment}, sets=["dev-other"])
    assert error.value.expected == "one of: dev, test"
    (experiment.directory / "results.json").unlink()
    with pytest.raises(UserError, match="has no results yet"):
        collect({"tiny": dataclasses.replace(experiment)})
