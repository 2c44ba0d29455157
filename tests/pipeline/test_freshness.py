"""What makes a stage stale, what does not, and the reasons shown."""

from typing import Callable, Dict

import pytest

from tests.pipeline.toy import STAGES, Toy

RECIPE = "name: toy\ncorpus: {module: toy}\n"
COUNT_AND_AFTER = {"tell": "waits: after stage 2 (count)"}
COLLECT_AND_AFTER = {
    "count": "waits: after stage 1 (collect)",
    "tell": "waits: after stage 1 (collect)",
}


def test_all_are_fresh_after_a_run(finished: Toy) -> None:
    assert finished.states() == {}
    output = finished.run()
    assert output == "nothing to do: all 4 stages are fresh\n"


CHANGES: Dict[str, tuple] = {
    "a line of the lexicon": (
        lambda toy: toy.replace("recipes/toy/lexicon.txt", "yes Y", "yes J"),
        {"count": "stale: lexicon.txt changed", **COUNT_AND_AFTER},
    ),
    "an audio file": (
        lambda toy: (toy.corpus / "a.wav").write_text("no yes"),
        {"collect": "stale: audio a.wav changed", **COLLECT_AND_AFTER},
    ),
    "an audio file more": (
        lambda toy: (toy.corpus / "c.wav").write_text("no"),
        {"collect": "stale: audio c.wav is new", **COLLECT_AND_AFTER},
    ),
    "an audio file less": (
        lambda toy: (toy.corpus / "b.wav").unlink(),
        {"collect": "stale: audio b.wav is missing", **COLLECT_AND_AFTER},
    ),
    "two audio files": (
        lambda toy: [(toy.corpus / name).write_text("yes") for name in ("a.wav", "b.wav")],
        {"collect": "stale: audio a.wav changed (and 1 more)", **COLLECT_AND_AFTER},
    ),
    "another file of the corpus": (
        lambda toy: (toy.corpus / "README").write_text("more"),
        {"collect": "stale: corpus README changed", **COLLECT_AND_AFTER},
    ),
    "a file of the recipe that wasn't there": (
        lambda toy: toy.write("recipes/toy/expect.json", "{}"),
        {"collect": "stale: expect.json is new", **COLLECT_AND_AFTER},
    ),
    "a setting": (
        lambda toy: toy.write("recipes/toy/recipe.yaml", RECIPE + "lm: {order: 2}\n"),
        {"count": "stale: setting lm.order: 3 -> 2", **COUNT_AND_AFTER},
    ),
    "an output changed": (
        lambda toy: (toy.exp / "count/counts.json").write_text("{}"),
        {"count": "stale: output count/counts.json was changed", **COUNT_AND_AFTER},
    ),
    "an output lost": (
        lambda toy: (toy.exp / "count/counts.json").unlink(),
        {"count": "stale: output count/counts.json is missing", **COUNT_AND_AFTER},
    ),
    "a record lost": (
        lambda toy: (toy.exp / "stages/count.json").unlink(),
        {"count": "new: never run", **COUNT_AND_AFTER},
    ),
    "a record damaged": (
        lambda toy: (toy.exp / "stages/count.json").write_text('{"inputs": '),
        {"count": "new: never run", **COUNT_AND_AFTER},
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_depends_on_a_change_is_stale_and_the_reason_names_it(finished: Toy, change: str) -> None:
    make_change, expected = CHANGES[change]
    make_change(finished)
    assert finished.states() == expected
    output = finished.run()
    for reason in expected.values():
        if not reason.startswith("waits"):
            assert reason.partition(": ")[2] in output
    assert finished.states() == {}


HARMLESS: Dict[str, Callable[[Toy], object]] = {
    "comment": lambda toy: toy.replace("toykit/counting.py", "# a count", "# its count"),
    "docstring": lambda toy: toy.replace("toykit/counting.py", "How often", "How many times"),
    "layout": lambda toy: toy.replace("toykit/counting.py", "def count", "\n\ndef count"),
    "time of change": lambda toy: (toy.corpus / "a.wav").touch(),
    "setting of no stage": lambda toy: toy.write(
        "recipes/toy/recipe.yaml", RECIPE + "model: {dropout: 0.3}\n"
    ),
    "hidden file": lambda toy: (toy.corpus / ".a.part").write_text(""),
    "cache lost": lambda toy: (toy.exp / "stages/fingerprints/files.json").unlink(),
    "cache damaged": lambda toy: (toy.exp / "stages/fingerprints/files.json").write_text("{"),
}


@pytest.mark.parametrize("change", HARMLESS)
def test_nothing_is_stale_after_a_change_that_changes_no_output(finished: Toy, change: str) -> None:
    HARMLESS[change](finished)
    assert finished.states() == {}


def test_a_stage_stays_fresh_when_the_one_before_it_makes_the_same_again(finished: Toy) -> None:
    (finished.corpus / "README").write_text("other words")
    assert finished.ran(finished.run()) == ["collect"]


def test_a_setting_on_the_command_line_counts_like_one_in_the_file(finished: Toy) -> None:
    assert finished.states("--set", "lm.order=1")["count"] == "stale: setting lm.order: 3 -> 1"
    assert finished.ran(finished.run("--set", "lm.order=1")) == ["count"]
    assert finished.states()["count"] == "stale: setting lm.order: 1 -> 3"


def test_a_corpus_that_moved_with_the_same_content_changes_nothing(finished: Toy) -> None:
    other = finished.folder / "other"
    finished.corpus.rename(other)
    assert finished.states("--corpus-dir", str(other)) == {}
    assert finished.states()["fetch"] == "stale: output corpus is missing"
    assert "nothing to do" in finished.run("--corpus-dir", str(other))
    assert finished.states() == {}  # the experiment remembers where it is


CODE: Dict[str, tuple] = {
    "code of a stage": (
        lambda toy: toy.replace("toykit/tell.py", "write_text(", "len('') or write_text("),
        {"tell": "toykit/tell.py"},
    ),
    "code imported inside a function": (
        lambda toy: toy.replace("toykit/counting.py", "words.count", "1 + words.count"),
        {"count": "toykit/counting.py"},
    ),
    "code of the corpus": (
        lambda toy: toy.replace("local/toy.py", "*.wav", "?.wav"),
        {"fetch": "local/toy.py", "collect": "local/toy.py"},
    ),
}


@pytest.mark.parametrize("change", CODE)
def test_a_change_of_code_is_shown_and_reruns_nothing(finished: Toy, change: str) -> None:
    make_change, expected = CODE[change]
    make_change(finished)
    assert finished.states() == {}
    strict = finished.states("--strict")
    output = finished.run()
    assert finished.ran(output) == []
    for name, file in expected.items():
        stage = next(stage for stage in STAGES if stage.name == name)
        shown = f"{stage}: fresh, its code has changed since: {file}; --stage {name} runs it again"
        assert shown in output
        assert strict[name] == f"stale: code {file} changed"
    assert set(expected) <= set(finished.ran(finished.run("--strict")))


def test_a_raised_version_makes_a_stage_stale(finished: Toy) -> None:
    finished.replace(
        "drive.py",
        "asrkit.cli.run.STAGES = STAGES",
        "import dataclasses; asrkit.cli.run.STAGES = "
        "[dataclasses.replace(s, version=1 + (s.name == 'count')) for s in STAGES]",
    )
    assert finished.states()["count"] == "stale: version 1 -> 2: its results differ"
    assert finished.ran(finished.run()) == ["count"]
    assert finished.states() == {}


def test_a_setting_that_only_says_how_changes_nothing(finished: Toy) -> None:
    assert finished.states("--set", "train.threads=7") == {}
    assert finished.record("count")["how"] == {"train.threads": 0}
