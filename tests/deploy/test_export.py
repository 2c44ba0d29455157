"""A finished experiment in use: recognised as stage decode does, exported, and run by sherpa-onnx."""

import shutil
from pathlib import Path
from typing import Any, Callable

import pytest
import torch

from asrkit.deploy.export import _word_costs, export
from asrkit.errors import UserError
from asrkit.model.acoustic import load_model
from asrkit.pipeline.experiment import open_experiment
from asrkit.recognise.bundle import open_bundle
from asrkit.recognise.recognizer import Recognizer
from asrkit.recognise.segmentation import SegmentOptions
from tests.deploy.speech import hypotheses, recordings, sherpa_words

pytestmark = pytest.mark.k2
WHOLE = SegmentOptions(whole=True)


@pytest.fixture(scope="module")
def bundle(finished_yesno: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "bundle"
    written = export(open_experiment(finished_yesno), folder)
    assert written.files == open_bundle(folder).files
    assert "model.onnx" in written.files  # asrkit export prints them
    return folder


@pytest.mark.parametrize("method", ["greedy", "1best"])
def test_a_recogniser_finds_the_words_of_stage_decode(finished_yesno: Path, method: str) -> None:
    recognizer = Recognizer.open(finished_yesno, method)
    expected = hypotheses(finished_yesno, method)
    found = {key: recognizer.transcribe((x, rate), WHOLE) for key, x, rate in recordings(finished_yesno)}
    assert {key: transcript.text.split() for key, transcript in found.items()} == expected
    assert len(found) == 30
    for transcript in found.values():
        times = [time for word in transcript.words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert all(0 <= time <= transcript.duration + 0.1 for time in times)


def test_known_text_is_aligned_to_the_times_of_recognised_words(finished_yesno: Path) -> None:
    recognizer = Recognizer.open(finished_yesno, "1best")
    _, samples, rate = next(recordings(finished_yesno))
    recognised = recognizer.transcribe((samples, rate), WHOLE)
    aligned = recognizer.align(samples, rate, recognised.text)
    assert [word.word for word in aligned] == recognised.text.split()
    for known, found in zip(aligned, recognised.words):
        assert abs((known.start + known.end) / 2 - (found.start + found.end) / 2) < 0.2
    with pytest.raises(UserError, match="the model has no tokens for MAYBE"):
        recognizer.align(samples, rate, "YES MAYBE")


def test_a_bundle_is_complete_and_its_torchscript_equals_the_model(
    finished_yesno: Path, bundle: Path
) -> None:
    expected_files = {"model.onnx", "model.pt", "tokens.txt", "words.txt", "HLG.fst", "rules.fst"}
    assert expected_files <= set(open_bundle(bundle).files)
    assert open_bundle(bundle).silence == ""  # none; None if it is unknown, as in bundles of earlier versions
    assert "WER" in (bundle / "README.md").read_text()
    model, _ = load_model(finished_yesno / "average" / "model.safetensors")
    traced = torch.jit.load(str(bundle / "model.pt"))
    features, lengths = torch.randn(3, 301, model.bins), torch.tensor([301, 100, 7])
    with torch.no_grad():
        expected, frames = model(model.normalise(features, lengths), lengths)
        found, found_frames = traced(features, lengths)
    assert frames.tolist() == found_frames.tolist()
    for row, other, count in zip(expected, found, frames.tolist()):
        torch.testing.assert_close(other[:count], row[:count], rtol=0, atol=1e-4)


@pytest.mark.parametrize("method", ["greedy", "1best"])
def test_a_bundle_finds_the_words_of_the_experiment(finished_yesno: Path, bundle: Path, method: str) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra [use]")
    recognizer, expected = Recognizer.open(bundle, method), hypotheses(finished_yesno, method)
    for key, samples, rate in recordings(finished_yesno):
        assert recognizer.transcribe((samples, rate), WHOLE).text.split() == expected[key]


def test_sherpa_onnx_finds_the_same_words(finished_yesno: Path, bundle: Path) -> None:
    found = sherpa_words(bundle, finished_yesno)
    assert found == hypotheses(finished_yesno, "1best")
    assert len(found) == 30


@pytest.mark.an4
def test_sherpa_onnx_finds_the_words_of_an4(an4_experiment: Path, tmp_path: Path) -> None:
    export(open_experiment(an4_experiment), tmp_path / "bundle")
    recognizer = Recognizer.open(an4_experiment, "1best")
    expected = {
        key: recognizer.transcribe((samples, rate), WHOLE).text.split()
        for key, samples, rate in recordings(an4_experiment)
    }
    assert sherpa_words(tmp_path / "bundle", an4_experiment) == expected
    assert len(expected) == 130


def test_the_usual_one_of_homophones_is_cheaper(finished_yesno: Path) -> None:
    costs = _word_costs(open_experiment(finished_yesno))
    arpa = (finished_yesno / "lm" / "lm.arpa").read_text().splitlines()
    logs = {line.split()[1]: float(line.split()[0]) for line in arpa if line.endswith(("YES", "NO"))}
    assert costs == {word: pytest.approx(-value * 2.302585) for word, value in logs.items()}


def damaged(name: str, change: Callable[[bytes], bytes]) -> Any:
    return pytest.param(name, change, id=name)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        damaged("bundle.json", lambda content: content.replace(b'"format": 1', b'"format": 9')),
        damaged("tokens.txt", lambda content: content + b"x 99\n"),
        damaged("HLG.fst", lambda content: content[:-16]),
        damaged("lexicon.txt", lambda content: content[1:]),
    ],
)
def test_a_damaged_bundle_is_refused(bundle: Path, tmp_path: Path, name: str, change: Any) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra [use]")
    shutil.copytree(bundle, tmp_path / "copy")
    file = tmp_path / "copy" / name
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(UserError):
        Recognizer.open(tmp_path / "copy", "1best")


def test_a_folder_with_other_files_is_not_written_over(finished_yesno: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds other files: thesis\.txt"):
        export(open_experiment(finished_yesno), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_is_not_replaced_by_a_bundle(finished_yesno: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match=r"thesis\.txt is a file"):
        export(open_experiment(finished_yesno), tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        ("recipe.yaml", "frame_shift: 0.01", "frame_shift: 0.02", r"setting features\.frame_shift"),
        ("decode/scales.json", '"lm_scale"', '"lm_scale" ', r"decode/scales\.json"),
        ("units/words.txt", "YES", "YEA", r"units/words\.txt"),
    ],
)
def test_a_changed_experiment_is_neither_used_nor_exported(
    finished_yesno: Path, tmp_path: Path, name: str, old: str, new: str, found: str
) -> None:
    exp = tmp_path / "exp"
    shutil.copytree(finished_yesno, exp, symlinks=True)
    content = (exp / name).read_text()
    assert old in content
    (exp / name).write_text(content.replace(old, new))
    with pytest.raises(UserError, match=f"{found} isn't as stage"):
        Recognizer.open(exp, "1best")
    with pytest.raises(UserError, match=f"{found} isn't as stage"):
        export(open_experiment(exp), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
