"""asrkit evaluate on CutSets of all kinds; what a model would say is put in its place."""

from pathlib import Path
from typing import Any, Dict, List, Optional

import msgspec
import pytest
import yaml
from click.testing import CliRunner

pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from lhotse import AudioSource, CutSet, MonoCut, Recording, SupervisionSegment  # noqa: E402

from asrkit.cli import evaluate  # noqa: E402
from asrkit.config.recipe import CorpusConfig, FeaturesConfig, RecipeConfig, ScoreConfig, UnitsConfig  # noqa: E402
from asrkit.errors import UserError  # noqa: E402
from asrkit.pipeline.experiment import Experiment, open_experiment  # noqa: E402
from asrkit.signal.features import load_cuts  # noqa: E402
from asrkit.storage.files import read_json, read_jsonl, write_json, write_jsonl, write_text  # noqa: E402
from asrkit.text.units import build_units  # noqa: E402
from tests.corpus.sound import noise, write_audio  # noqa: E402
from tests.storage.json_lines import write_jsonl_gz  # noqa: E402

RATE = 8000  # of the cuts; the experiment's features are of 16 kHz


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What evaluate looks at in a finished experiment; decoding gives the text, and "UM" after it."""
    folder = tmp_path / "exp"
    config = RecipeConfig(
        name="tiny",
        corpus=CorpusConfig(module="tiny", case="upper"),
        features=FeaturesConfig(bins=20),
        score=ScoreConfig(bootstrap_samples=20),
    )
    write_text(folder / "recipe.yaml", yaml.safe_dump(msgspec.to_builtins(config)))
    build_units(UnitsConfig(kind="characters"), ["ONE TWO UM"], folder / "units")
    for file in ("graph/HLG.safetensors", "average/model.safetensors"):
        write_text(folder / file, "first")
    write_json(folder / "decode" / "scales.json", {"lm_scale": 0.5})
    write_json(folder / "cost.json", {"parameters": 7})
    write_json(folder / "manifests" / "statistics.json", {"partial": "1 of 9 utterances"})
    for method in ("greedy", "1best"):
        write_jsonl(folder / "decode" / "dev" / f"hypotheses_{method}.jsonl", [])

    def decode_frozen(experiment: Experiment, split: str) -> None:
        directory = experiment.folder("decode") / split
        cuts = list(load_cuts(experiment, split))
        assert all(cut.load_features().shape == (50, 20) for cut in cuts)  # half a second
        state = "resumed" if directory.exists() else "decoded from scratch"
        print(state, *experiment.config.decode.methods)
        for method in experiment.config.decode.methods:
            rows = [{"id": cut.id, "hyp": [*cut.supervisions[0].text.split(), "UM"]} for cut in cuts]
            write_jsonl(directory / f"hypotheses_{method}.jsonl", rows)
            timing = {"audio_seconds": 1.0, "seconds": 1.0, "fallbacks": {}, "settings": {}}
            write_json(directory / f"timing_{method}.json", timing)

    monkeypatch.setattr(evaluate, "decode_frozen", decode_frozen)
    return folder


class Cuts:
    """A CutSet in the making."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cuts: List[Any] = []

    def add(self, id: str, text: Optional[str] = "one two", suffix: str = ".wav", **source: Any) -> Any:
        """Half a second of noise with one supervision; no text: none."""
        file = write_audio(self.folder / f"{id}{suffix}", noise(0.5, len(self.cuts), RATE), RATE)
        where = AudioSource(**{"type": "file", "channels": [0], "source": str(file), **source})
        recording = Recording(id, [where], RATE, RATE // 2, 0.5)
        spoken = SupervisionSegment(id, id, 0.0, 0.5, text=text, speaker="s1")
        supervisions = [spoken] if text is not None else []
        cut = MonoCut(id, 0.0, 0.5, 0, supervisions=supervisions, recording=recording)
        self.cuts.append(cut)
        return cut

    def write(self, name: str = "noisy.jsonl.gz") -> Path:
        CutSet.from_cuts(self.cuts).to_file(self.folder / name)
        return self.folder / name


@pytest.fixture
def cuts(tmp_path: Path) -> Cuts:
    return Cuts(tmp_path / "cuts")


def run(trained: Path, cuts: Path, *arguments: object) -> str:
    words = ["--exp", trained, "--cuts", cuts, "--nj", 1, *arguments]
    result = CliRunner().invoke(evaluate.command, [str(word) for word in words])
    if result.exception is not None:
        raise result.exception
    return result.output


def reasons(folder: Path) -> Dict[str, str]:
    return {row["id"]: row["reason"] for row in read_jsonl(folder / "manifests" / "rejected.jsonl")}


def test_cuts_that_the_model_was_trained_on_are_named(trained: Path, cuts: Cuts) -> None:
    for name in ("seen", "new"):
        cuts.add(name)
    file = cuts.write()
    assert "training data" not in run(trained, file)
    seen = read_jsonl(trained / "evaluate" / "noisy" / "manifests" / "noisy_cuts.jsonl.gz")[:1]
    write_jsonl_gz(trained / "manifests" / "train_cuts.jsonl.gz", seen)
    assert ", in training data: 1 of 2 utterances" in run(trained, file)


def test_every_cut_is_scored_or_listed_with_its_reason(trained: Path, cuts: Cuts) -> None:
    cuts.add("good")
    speech, music = cuts.add("speech", suffix=".sph"), cuts.add("music", None)
    cuts.cuts[-2:] = [speech.mix(music, snr=10).with_id("mixed")]
    cuts.add("known").custom = {"snr": 3, "groups": ["gender f", 7]}
    cuts.add("absent", "one").custom = {"snr": 12, "groups": ["gender m"]}
    (cuts.folder / "absent.wav").unlink()
    cuts.add("silent", None)
    cuts.add("two").supervisions *= 2
    output = run(trained, cuts.write())
    folder = trained / "evaluate" / "noisy"
    results = read_json(folder / "results.json")
    assert [(row["set"], row["role"], row["method"], row["unit"]) for row in results[::3]] == [
        ("noisy", "test", method, "word") for method in ("greedy", "1best")
    ]
    first = results[0]
    # Three decoded with an insertion each; of two there is a text, the words of which are deleted.
    assert [first[key] for key in ("reference", "insertions", "deletions")] == [11, 3, 5]
    assert [first[key] for key in ("utterances", "rejected", "lost")] == [5, 2, 1]
    assert first["snr"] == {"0 to 5 dB": [1, 2], "10 to 15 dB": [2, 3]}  # one that can't be read, too
    assert first["groups"]["gender f"][:2] == [1, 2]
    assert first["groups"]["gender m"][:2] == [1, 1]
    found = reasons(folder)
    assert found["absent"].startswith("missing audio file: ")
    assert found["silent"].startswith("other than one supervision: found 0, expected 1")
    assert found["two"].startswith("other than one supervision: found 2, expected 1")
    assert "WARNING: 3 utterances of test set noisy can't be used" in output
    listing = (folder / "score" / "noisy_1best.txt").read_text()
    assert "  absent  missing audio file" in listing and "excluded from scoring" in listing
    assert {row["partial"] for row in results} == {"1 of 9 utterances"}  # what it was trained on
    assert "# Results of tiny on noisy" in (folder / "RESULTS.md").read_text()


def test_method_and_output_are_chosen(trained: Path, cuts: Cuts, tmp_path: Path) -> None:
    cuts.add("good")
    run(trained, cuts.write(), "--method", "1best", "--output", tmp_path / "there")
    results = read_json(tmp_path / "there" / "results.json")
    assert {row["method"] for row in results} == {"1best"}
    assert not (trained / "evaluate").exists()
    assert open_experiment(tmp_path / "there").config.corpus.tests == ("noisy",)
    with pytest.raises(UserError, match="no method viterbi") as error:
        run(trained, cuts.write(), "--method", "viterbi")
    assert error.value.expected == "one of greedy, 1best"


def test_only_the_methods_asked_for_are_decoded(trained: Path, cuts: Cuts) -> None:
    cuts.add("good")
    decoding = trained / "evaluate" / "noisy" / "decode" / "noisy"
    assert "decoded from scratch 1best\n" in run(trained, cuts.write(), "--method", "1best")
    assert "decoded from scratch greedy 1best\n" in run(trained, cuts.write())
    assert "decoded" not in run(trained, cuts.write(), "--method", "1best")  # it has been
    assert (decoding / "hypotheses_greedy.jsonl").exists()
    (decoding / "timing_1best.json").unlink()  # as when it was killed
    assert "resumed greedy 1best\n" in run(trained, cuts.write())
    (decoding / "timing_1best.json").unlink()
    assert "decoded from scratch 1best\n" in run(trained, cuts.write(), "--method", "1best")


def test_what_another_model_decoded_is_not_taken(trained: Path, cuts: Cuts) -> None:
    cuts.add("good")
    assert "decoded from scratch" in run(trained, cuts.write())
    assert "decoded from scratch" not in run(trained, cuts.write())
    (trained / "average" / "model.safetensors").write_text("second")
    assert "decoded from scratch" in run(trained, cuts.write())
    for model in ("lm.arpa", "neural.safetensors"):
        write_text(trained / "lm" / model, "another")
        assert "decoded from scratch" in run(trained, cuts.write())
    write_audio(cuts.folder / "good.wav", noise(0.5, 9, RATE), RATE)
    assert "decoded from scratch" in run(trained, cuts.write())


def test_cuts_without_supervisions_are_refused(trained: Path, cuts: Cuts) -> None:
    cuts.add("a", None)
    with pytest.raises(UserError, match="none of the 1 cuts has a supervision"):
        run(trained, cuts.write())


def test_cuts_without_audio_are_refused_with_the_names(trained: Path, cuts: Cuts) -> None:
    for id in "ab":
        cuts.add(id)
        (cuts.folder / f"{id}.wav").unlink()
    with pytest.raises(UserError, match="none of the 2 cuts can be used") as error:
        run(trained, cuts.write())
    assert f"a: missing audio file: {cuts.folder / 'a.wav'}" in error.value.found


def test_what_is_no_cut_set_is_refused(trained: Path, tmp_path: Path) -> None:
    rows = [{"id": "a", "recording_id": "a", "start": 0.0, "duration": 1.0}]
    write_jsonl(tmp_path / "supervisions.jsonl", rows)
    for name in ("supervisions.jsonl", "absent.jsonl.gz"):
        with pytest.raises(UserError, match=f"can't read .*{name}"):
            run(trained, tmp_path / name)


def test_a_command_in_a_manifest_is_not_run(trained: Path, cuts: Cuts, tmp_path: Path) -> None:
    cuts.add("evil", type="command", source=f"touch {tmp_path / 'done'}")
    with pytest.raises(UserError, match="1 recordings are piped commands"):
        run(trained, cuts.write())
    assert not (tmp_path / "done").exists()


def test_folder_of_other_things_is_left_alone(trained: Path, cuts: Cuts) -> None:
    cuts.add("a")
    with pytest.raises(UserError, match="holds other files"):
        run(trained, cuts.write(), "--output", trained)


def test_experiment_without_decoding_is_refused(trained: Path, cuts: Cuts) -> None:
    cuts.add("a")
    (trained / "decode" / "scales.json").unlink()
    with pytest.raises(UserError, match="has not been decoded"):
        run(trained, cuts.write())


def test_cuda_without_a_gpu_is_refused_before_anything_is_written(
    trained: Path, cuts: Cuts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    cuts.add("good")
    with pytest.raises(UserError, match=r"decode\.device is cuda, and torch .* finds no GPU"):
        run(trained, cuts.write(), "--device", "cuda")
    assert not (trained / "evaluate").exists()
    assert "from scratch" in run(trained, cuts.write())
    assert "decoded from scratch" not in run(trained, cuts.write(), "--device", "cpu")  # the same results
