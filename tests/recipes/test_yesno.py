"""The recipe yesno on its real recordings: result, freshness, kills, batches."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional

import pytest

from asrkit.storage.files import read_jsonl
from tests.storage.json_lines import write_jsonl_gz

pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = [pytest.mark.k2, pytest.mark.recipe]

PROJECT = Path(__file__).resolve().parents[2]


class Run:
    """The recipe in a folder of its own: recipe, corpus, package and experiment may all be changed."""

    def __init__(self, folder: Path, corpus: Path) -> None:
        self.project = folder / "project"
        for name in ("asrkit", "local", "recipes/yesno", "utils"):
            ignored = shutil.ignore_patterns("__pycache__", "exp", "exp-*", "download")
            shutil.copytree(PROJECT / name, self.project / name, ignore=ignored)
        self.recipe = self.project / "recipes" / "yesno"
        self.corpus = folder / "corpus"
        shutil.copytree(corpus, self.corpus)
        self.experiment = folder / "exp"

    def command(self, *options: str) -> List[str]:
        return [
            *(sys.executable, "-c", "from asrkit.cli.main import main; main()"),
            *("run", "--recipe", str(self.recipe), "--nj", "2"),
            *("--corpus-dir", str(self.corpus), "--exp", str(self.experiment), *options),
        ]

    def environment(self) -> Dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.project)}

    def __call__(self, *options: str) -> str:
        done = subprocess.run(
            self.command(*options), env=self.environment(), capture_output=True, text=True, cwd=self.project
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def kill_when(self, sign: Callable[[], bool]) -> None:
        """Start the recipe, and SIGKILL it as soon as `sign` holds."""
        log = self.experiment.with_suffix(".log")
        with open(log, "a") as stream:
            process = subprocess.Popen(
                self.command(), env=self.environment(), stdout=stream, stderr=stream, cwd=self.project
            )
            while process.poll() is None and not sign():
                time.sleep(0.001)
            assert process.poll() is None, f"it ended before the sign to kill it: {log.read_text()[-2000:]}"
            process.send_signal(signal.SIGKILL)
            process.wait()

    def states(self, *options: str) -> Dict[str, str]:
        """Stage to its state and the reason, as --status prints them."""
        rows = [line.split(None, 2) for line in self("--status", *options).splitlines()]
        return {row[1]: row[2] for row in rows if len(row) == 3 and row[0].isdigit()}

    def results(self) -> Dict[str, dict]:
        rows = json.loads((self.experiment / "results.json").read_text())
        return {f"{row['set']} {row['method']}": row for row in rows if row["unit"] == "word"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, corpora: Callable[[str], Path]) -> Run:
    run = Run(tmp_path_factory.mktemp("whole"), corpora("yesno"))
    run()
    return run


def test_few_of_240_words_are_wrong(finished: Run) -> None:
    """The goal is one error at most (icefall has one)."""
    result = finished.results()["test 1best"]
    assert result["reference"] == 240
    assert result["utterances"] == 30
    assert result["errors"] <= 1
    low, high = result["interval"]
    assert low <= result["rate"] <= high


def test_a_second_run_does_nothing(finished: Run) -> None:
    def times() -> Dict[Path, int]:
        files = [file for file in finished.experiment.rglob("*") if file.is_file()]
        return {file: file.stat().st_mtime_ns for file in files if "stages" not in file.parts}

    before = times()
    finished()
    after = times()
    changed = {file.name for file in after if before.get(file) != after[file]}
    assert changed <= {".lock"}


def content(run: Run, *patterns: str) -> Dict[str, bytes]:
    files = [file for pattern in patterns for file in run.experiment.glob(pattern)]
    return {str(file.relative_to(run.experiment)): file.read_bytes() for file in files}


def test_a_run_killed_in_features_training_and_decoding_ends_the_same(finished: Run, tmp_path: Path) -> None:
    killed = Run(tmp_path, finished.corpus)
    # The corpus's own folder is part of the manifests, so both runs must name the same one.
    killed.corpus = finished.corpus
    exp = killed.experiment

    def appeared(pattern: str) -> Callable[[], bool]:
        return lambda: next(exp.glob(pattern), None) is not None

    for pattern in (
        "features/shards/*.json",
        "train/checkpoints/epoch-0001*",
        "train/checkpoints/epoch-0004*",
        "posteriors/dev/*",
        "decode/test/nbest-*",
    ):
        killed.kill_when(appeared(pattern))
    output = killed()
    assert "stage 8 (decode)" in output
    for patterns, least in (
        (("features/shards/*", "features/*.gz", "features/*.safetensors"), 10),
        (("average/*", "train/checkpoints/epoch-*"), 4),
        (("decode/*/hypotheses_*", "decode/scales.json"), 5),
    ):
        theirs, ours = content(finished, *patterns), content(killed, *patterns)
        assert len(theirs) >= least
        assert ours.keys() == theirs.keys()
        assert [name for name in theirs if ours[name] != theirs[name]] == []


def test_transcripts_do_not_depend_on_the_batch(finished: Run) -> None:
    before = content(finished, "decode/*/hypotheses_*")
    for seconds in (1, 30, 1000):  # one utterance, four of about 6 s, all
        finished("--set", f"decode.batch_duration={seconds}", "--stop-stage", "8")
        assert content(finished, "decode/*/hypotheses_*") == before
    finished()  # as it was, for the other tests


def test_other_weights_and_methods_need_neither_model_nor_search(finished: Run) -> None:
    def written(folder: str) -> Dict[str, int]:
        files = (finished.experiment / folder).glob("*/*.safetensors")
        return {str(file): file.stat().st_mtime_ns for file in files}

    posteriors, lattices = written("posteriors"), written("lattices")
    assert len(posteriors) == len(lattices) == 3
    methods = "decode.methods=[greedy, 1best, nbest-oracle]"
    finished("--set", "decode.lm_scales=[0.4]", "--set", methods, "--stop-stage", "8")
    assert (written("posteriors"), written("lattices")) == (posteriors, lattices)
    finished("--set", "decode.search_beam=18", "--stop-stage", "8")
    assert written("posteriors") == posteriors
    assert not set(written("lattices").values()) & set(lattices.values())
    finished("--set", "decode.shard_utterances=30", "--stop-stage", "8")
    assert len(written("posteriors")) == len(written("lattices")) == 2
    before = content(finished, "decode/*/hypotheses_*")
    for file in written("lattices"):
        Path(file).write_bytes(b"of other settings")
    options = ("--set", "decode.shard_utterances=30", "--set", "decode.keep_lattices=false")
    finished(*options, "--stop-stage", "8")  # doesn't read what it doesn't keep
    assert content(finished, "decode/*/hypotheses_*") == before
    finished()  # as it was, for the other tests


def test_evaluated_cuts_of_the_test_set_give_what_the_stages_gave(finished: Run) -> None:
    cuts = finished.experiment / "manifests" / "test_cuts.jsonl.gz"
    arguments = ["evaluate", "--exp", str(finished.experiment), "--cuts", str(cuts), "--nj", "2"]
    main = "from asrkit.cli.main import main; main()"
    subprocess.run([sys.executable, "-c", main, *arguments], env=finished.environment(), check=True)
    evaluation = finished.experiment / "evaluate" / "test_cuts"
    for method in ("greedy", "1best"):
        theirs = finished.experiment / "decode" / "test" / f"hypotheses_{method}.jsonl"
        ours = evaluation / "decode" / "test_cuts" / theirs.name
        assert ours.read_bytes() == theirs.read_bytes()
    record = json.loads((evaluation / "results.json").read_text())[3]
    expected = finished.results()["test 1best"]
    same = ("errors", "reference", "interval", "settings", "speakers", "lengths", "confusions")
    assert {key: record[key] for key in same} == {key: expected[key] for key in same}
    assert "# Results of yesno on test_cuts" in (evaluation / "RESULTS.md").read_text()


def test_swapped_transcripts_are_least_like_the_models_output(finished: Run, tmp_path: Path) -> None:
    (tmp_path / "stages").mkdir()  # without records, which tell that the texts were changed by hand
    for name in ("recipe.yaml", "stages/corpus_dir", "manifests", "features", "units", "average"):
        source = finished.experiment / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    swapped = {}
    for split in ("train", "test"):
        file = tmp_path / "manifests" / f"{split}_cuts.jsonl.gz"
        cuts = read_jsonl(file)
        first, last = cuts[0]["supervisions"][0], cuts[-1]["supervisions"][0]
        swapped.update({first["id"]: first["text"], last["id"]: last["text"]})
        first["text"], last["text"] = last["text"], first["text"]
        write_jsonl_gz(file, cuts)
    arguments = ["corpus", "report", "--exp", str(tmp_path), "--nj", "2", "--worst", "5"]
    main = "from asrkit.cli.main import main; main()"
    subprocess.run([sys.executable, "-c", main, *arguments], env=finished.environment(), check=True)
    rows = json.loads((tmp_path / "corpus" / "report.json").read_text())["alignments"]
    assert {row["id"]: row["heard"] for row in rows[:4]} == swapped
    assert len(rows) == 5
    assert [row["score"] for row in rows] == sorted(row["score"] for row in rows)
    page = (tmp_path / "corpus" / "report.html").read_text()
    assert page.index("Transcripts that disagree most") < page.index(f"recognised: {rows[0]['heard']}")


def test_rescored_lists_are_on_dev_at_least_as_good_as_one_best(
    tmp_path: Path, corpora: Callable[[str], Path]
) -> None:
    run = Run(tmp_path, corpora("yesno"))
    run(
        *("--set", "decode.methods=[1best, attention-decoder, neural-rescoring]"),
        *("--set", "model.decoder_blocks=1", "--set", "lm.neural.layers=1"),
        *("--set", "train.epochs=1", "--set", "train.threads=1", "--set", "average.candidates=[best-1]"),
        # So little training makes wide lattices.
        *("--set", "decode.output_beam=4", "--set", "decode.nbest_paths=20"),
        *("--set", "decode.word_bonuses=[0, 2]", "--set", "decode.attention_scales=[0, 0.5, 1]"),
    )
    results = run.results()
    assert results["dev 1best"]["errors"] > 0  # after one epoch
    tried = json.loads((run.experiment / "decode" / "scales.json").read_text())["tried"]
    for method, scale in (("attention-decoder", "attention_scale"), ("neural-rescoring", "neural_scale")):
        assert results[f"dev {method}"]["errors"] <= results["dev 1best"]["errors"]
        chosen = results[f"test {method}"]["settings"]
        assert {"lm_scale", "word_bonus", scale, "nbest_paths"} <= set(chosen)
        plain = [point for point in tried[method] if point[scale] == 0 and point["lm_scale"] > 0]
        assert [point["errors"] for point in plain] == [point["errors"] for point in tried["1best"]]


STAGES = ["download", "manifests", "features", "units", "lm", "graph", "train", "average", "decode", "score"]


AFTER_FEATURES = ["train", "average", "decode", "score"]


@pytest.mark.parametrize(
    ("assignment", "first", "reason", "after"),
    [
        ("features.bins=60", "features", "setting features.bins: 40 -> 60", AFTER_FEATURES),
        ("units.kind=characters", "units", "setting units.kind", ["graph", *AFTER_FEATURES]),
        ("lm.order=2", "lm", "setting lm.order: 1 -> 2", ["graph", "decode", "score"]),
        ("graph.topology=modified", "graph", "setting graph.topology", ["decode", "score"]),
        ("model.dropout=0.2", "train", "setting model.dropout: 0.0 -> 0.2", ["average", "decode", "score"]),
        ("average.candidates=[best-1]", "average", "setting average.candidates", ["decode", "score"]),
        ("decode.search_beam=12", "decode", "setting decode.search_beam: 20.0 -> 12.0", ["score"]),
        ("score.confidence=0.9", "score", "setting score.confidence: 0.95 -> 0.9", []),
    ],
)
def test_a_setting_makes_stale_what_depends_on_it(
    finished: Run, assignment: str, first: str, reason: str, after: List[str]
) -> None:
    states = finished.states("--set", assignment)
    assert states[first].startswith("stale")
    assert reason in states[first]
    assert [name for name in STAGES if not states[name].startswith("fresh")] == [first, *after]


@pytest.mark.parametrize(
    ("file", "change", "first"),
    [
        ("recipe/lexicon.txt", ("K EH N", "K AE N"), "units"),
        ("recipe/expect.json", ('"words"', ' "words"'), "manifests"),
        ("corpus/waves_yesno/0_0_0_0_1_1_1_1.wav", None, "manifests"),
        ("code/local/yesno.py", ("def utterances(", "ADDED = 1\n\n\ndef utterances("), "manifests"),
        ("code/asrkit/train/optimizer.py", ("0.5 *", "0.4 *"), "train"),
        ("code/asrkit/decode/paths.py", ("ids > 0", "ids > 1"), "decode"),
    ],
)
def test_a_changed_file_makes_stale_what_reads_it(
    finished: Run, file: str, change: Optional["tuple[str, str]"], first: str
) -> None:
    kind, _, name = file.partition("/")
    path = {"recipe": finished.recipe, "corpus": finished.corpus, "code": finished.project}[kind] / name
    before = path.read_bytes()
    if change is None:
        path.write_bytes(before[:-2] + b"\x01\x00")  # another last sample
    else:
        assert change[0].encode() in before
        path.write_bytes(before.replace(change[0].encode(), change[1].encode(), 1))
    try:
        states = finished.states()
    finally:
        path.write_bytes(before)
    if kind == "code":  # which is shown, and spends no time until it is asked to
        shown = f"its code has changed since: {name.replace('asrkit/', '')}; --stage {first} runs it again"
        assert states[first].startswith("fresh") and shown in states[first]
    else:
        assert states[first].startswith("stale") and f"{path.name} changed" in states[first]
    earlier = STAGES[: STAGES.index(first)]
    assert [name for name in earlier if not states[name].startswith("fresh") and name != "download"] == []
    assert [name for name in STAGES if not finished.states()[name].startswith("fresh")] == []


def test_a_changed_comment_makes_nothing_stale(finished: Run) -> None:
    path = finished.project / "asrkit" / "train" / "optimizer.py"
    before = path.read_text()
    path.write_text(before.replace("\n\n", "\n\n# a comment\n", 1))
    try:
        states = finished.states()
    finally:
        path.write_text(before)
    assert [name for name in STAGES if not states[name].startswith("fresh")] == []
