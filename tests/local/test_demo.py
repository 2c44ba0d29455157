"""The demo corpus: its sentences, and some of its speech."""

import dataclasses
import os
import re
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any, Dict, List, Set

import numpy as np
import pytest

from asrkit.config import CorpusConfig
from asrkit.errors import UserError
from asrkit.storage.files import read_json
from asrkit.storage.fingerprint import hash_value
from local import demo

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def lines() -> List[demo.Line]:
    pytest.importorskip("py_nanotts", reason="py-nanotts isn't installed: no demo corpus")
    return demo.sample_lines(demo.read_grammar(demo.GRAMMAR_FILE))


@pytest.fixture(scope="module")
def few(lines: List[demo.Line]) -> List[demo.Line]:
    """Two lines per voice and split."""
    chosen: Dict[str, List[demo.Line]] = {}
    for line in lines:
        chosen.setdefault(f"{line.split} {line.speech.voice}", []).append(line)
    return [line for group in chosen.values() for line in group[:2]]


@pytest.fixture(scope="module")
def spoken(few: List[demo.Line], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    demo.speak_corpus(folder, few, processes=2)
    return folder


def _of(lines: List[demo.Line], split: str) -> List[demo.Line]:
    return [line for line in lines if line.split == split]


def _words(lines: List[demo.Line]) -> Set[str]:
    return {word for line in lines for word in line.speech.text.split()}


def _samples(file: Path) -> "np.ndarray[Any, Any]":
    with wave.open(str(file)) as stream:
        assert (stream.getframerate(), stream.getnchannels(), stream.getsampwidth()) == (16000, 1, 2)
        return np.frombuffer(stream.readframes(stream.getnframes()), dtype="<i2")


def test_counts_are_those_of_expect_json(lines: List[demo.Line]) -> None:
    (version,) = read_json(REPOSITORY / "recipes" / "demo" / "expect.json")["versions"]
    found = {}
    for split in demo.SPLITS:
        inside = _of(lines, split)
        found[split] = {
            "utterances": len(inside),
            "speakers": len({line.speech.voice for line in inside}),
            "words": sum(len(line.speech.text.split()) for line in inside),
            "vocabulary": len(_words(inside)),
        }
    counts = {
        split: {name: count for name, count in counts.items() if name != "hours"}  # it needs the audio
        for split, counts in version["splits"].items()
    }
    assert found == counts


def test_sentences_are_those_of_the_published_results(lines: List[demo.Line]) -> None:
    spoken = [dataclasses.astuple(line.speech) for line in lines]
    assert hash_value(spoken) == "94e0e99b68982ecc51c08b6605e6e2aa"


def test_no_sentence_and_no_id_occurs_twice(lines: List[demo.Line]) -> None:
    assert len({line.speech.text for line in lines}) == len(lines)
    assert len({line.speech.id for line in lines}) == len(lines)


def test_every_word_of_dev_and_tests_is_in_training(lines: List[demo.Line]) -> None:
    trained = _words(_of(lines, "train"))
    assert 250 <= len(trained) <= 400
    assert _words(lines) == trained


def test_sentences_are_lower_case_words_with_single_spaces(lines: List[demo.Line]) -> None:
    for line in lines:
        assert re.fullmatch(r"[a-z]+( [a-z]+)*", line.speech.text), line


def test_the_unseen_voice_is_only_in_its_test_set(lines: List[demo.Line]) -> None:
    unseen = {line.speech.voice for line in _of(lines, "test-unseen")}
    assert unseen == {"en-US"}
    assert {line.split for line in lines if line.speech.voice in unseen} == {"test-unseen"}
    voices = [{line.speech.voice for line in _of(lines, split)} for split in ("train", "dev", "test-seen")]
    assert voices[0] == voices[1] == voices[2]


def test_sampling_is_reproducible_and_scales_with_share(lines: List[demo.Line]) -> None:
    assert demo.sample_lines(demo.read_grammar(demo.GRAMMAR_FILE)) == lines
    small = demo.sample_lines(demo.read_grammar(demo.GRAMMAR_FILE), share=0.05)
    assert len(_of(small, "train")) == pytest.approx(len(_of(lines, "train")) / 20, rel=0.05)
    assert _words(small) == _words(_of(small, "train"))


def test_audio_is_speech_of_plausible_length(spoken: Path, few: List[demo.Line]) -> None:
    for line in few:
        samples = _samples(line.audio(spoken))
        assert 0.7 <= len(samples) / 16000 <= 6.0, line
        assert np.sqrt(np.mean(samples.astype(float) ** 2)) > 500, line
        assert np.abs(samples.astype(int)).max() < 32767, f"{line} is clipped"
        assert np.abs(samples[-1600:].astype(int)).max() < 1000, f"{line} ends without silence"


def test_the_same_lines_in_another_order_give_the_same_bytes(
    spoken: Path, few: List[demo.Line], tmp_path: Path
) -> None:
    demo.speak_corpus(tmp_path, few[::-1], processes=1)
    for line in few:
        assert line.audio(tmp_path).read_bytes() == line.audio(spoken).read_bytes(), line


def test_synthesis_works_without_an_importable_package_local(tmp_path: Path) -> None:
    program = """
import pathlib, sys
from asrkit.config import CorpusConfig
from asrkit.corpus.utterance import load_corpus_module
demo = load_corpus_module("demo", pathlib.Path(sys.argv[1]))
folder = pathlib.Path(sys.argv[2])
demo.speak_corpus(folder, demo.sample_lines(demo.read_grammar(demo.GRAMMAR_FILE))[:2], processes=2)
print(*(one.audio.is_file() for one in demo.utterances(folder, CorpusConfig(module="demo"))))
"""
    command = [sys.executable, "-c", program, str(REPOSITORY / "local"), str(tmp_path)]
    place = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(command, cwd=tmp_path, env=place, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["True", "True"], done.stderr


def test_an_interrupted_corpus_is_refused_then_completed(few: List[demo.Line], tmp_path: Path) -> None:
    demo.speak_corpus(tmp_path, few[:4], processes=2)
    kept, lost = few[0].audio(tmp_path), few[1].audio(tmp_path)
    stamp, content = kept.stat().st_mtime_ns, lost.read_bytes()
    lost.unlink()
    (tmp_path / demo.MARKER).unlink()
    with pytest.raises(UserError, match="no finished demo corpus"):
        list(demo.utterances(tmp_path, CorpusConfig(module="demo")))
    demo.speak_corpus(tmp_path, few[:4], processes=2)
    assert kept.stat().st_mtime_ns == stamp
    assert lost.read_bytes() == content
    texts = [utterance.text for utterance in demo.utterances(tmp_path, CorpusConfig(module="demo"))]
    assert texts == [line.speech.text for line in few[:4]]


def test_another_grammar_replaces_only_old_audio(few: List[demo.Line], tmp_path: Path) -> None:
    demo.speak_corpus(tmp_path, few[:3], processes=1)
    strange = tmp_path / "audio" / "train" / "mine.wav"
    strange.write_bytes(b"")
    demo.speak_corpus(tmp_path, few[1:3], processes=1)
    assert not few[0].audio(tmp_path).exists()
    assert few[1].audio(tmp_path).exists()
    assert strange.exists()


def test_a_damaged_transcript_file_is_refused(few: List[demo.Line], tmp_path: Path) -> None:
    demo.speak_corpus(tmp_path, few[:2], processes=1)
    (tmp_path / demo.TRANSCRIPTS).write_text("id\tsplit\n", encoding="utf-8")
    with pytest.raises(UserError, match="the columns id, split"):
        list(demo.utterances(tmp_path, CorpusConfig(module="demo")))
