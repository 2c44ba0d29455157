"""Manifests: overlap of splits, comparison with expect.json, reproducible bytes."""

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any, Dict

import pytest
from lhotse.serialization import deserialize_item

from asrkit.corpus.audio import AudioFacts
from asrkit.corpus.manifests import manifest_rows, read_cuts
from asrkit.corpus.utterance import Utterance
from asrkit.corpus.validation import ValidUtterance
from asrkit.errors import UserError
from asrkit.stages import manifests
from asrkit.storage.files import read_json, read_jsonl
from tests.corpus.sound import SmallCorpus, noise, write_audio


def small(tmp_path: Path) -> SmallCorpus:
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"train": 3, "dev": 1, "test": 2})
    return corpus


def test_manifests_are_reproducible_with_any_number_of_jobs(tmp_path: Path) -> None:
    corpus = small(tmp_path)
    for name, jobs in (("one", 1), ("two", 3)):
        manifests.run(corpus.experiment(jobs=jobs, name=name))
    files = sorted(path.name for path in (tmp_path / "one" / "manifests").iterdir())
    assert len(files) == 11
    for name in files:
        first, second = ((tmp_path / exp / "manifests" / name).read_bytes() for exp in ("one", "two"))
        assert first == second, name


def test_a_known_signal_to_noise_ratio_is_kept() -> None:
    audio = AudioFacts(sampling_rate=16000, samples=16000, content="c")
    known = Utterance("a", Path("a.wav"), "ONE", "s", "test", snr=-2.5)
    both = (known, dataclasses.replace(known, snr=None))
    of = [ValidUtterance(each, "ONE", audio, 0, 16000) for each in both]
    cuts = [cut for _, _, cut in manifest_rows(of)]
    assert [cut["custom"] for cut in cuts] == [{"audio_content": "c", "snr": -2.5}, {"audio_content": "c"}]


def test_the_same_audio_in_two_splits_is_an_error_in_any_container(tmp_path: Path) -> None:
    corpus = small(tmp_path)
    write_audio(corpus.directory / "a.wav", noise(1, 1))
    write_audio(corpus.directory / "b.flac", noise(1, 1))
    corpus.add("a", "train", audio="a.wav")
    corpus.add("b", "test", audio="b.flac")
    with pytest.raises(UserError, match=r"(?s)1 utterances of test share more.*a \(.*a.wav\) and b"):
        manifests.run(corpus.experiment())


def test_other_segments_of_one_recording_may_be_in_two_splits(tmp_path: Path) -> None:
    corpus = small(tmp_path)
    write_audio(corpus.directory / "a.wav", noise(2, 1))
    corpus.add("a", "train", audio="a.wav", start=0.0, duration=1.0)
    corpus.add("b", "test", audio="a.wav", start=1.0, duration=1.0)
    experiment = corpus.experiment()
    manifests.run(experiment)
    assert len(list(read_cuts(experiment, "test"))) == 3


def test_shared_speakers_and_sentences_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = small(tmp_path)
    corpus.add("a", "test", text="WORD TRAIN", speaker="speaker-train")
    experiment = corpus.experiment()
    manifests.run(experiment)
    overlaps = read_json(experiment.folder("manifests") / "statistics.json")["overlaps"]
    (pair,) = [pair for pair in overlaps if pair["splits"] == ["train", "test"]]
    assert (pair["speakers"], pair["utterances_of_shared_speakers"]) == (1, 1)
    assert (pair["sentences"], pair["utterances_of_shared_sentences"]) == (1, 1)
    assert "train and test share 1 speakers and 1 sentences (1 utterances of test)" in capsys.readouterr().out


def test_statistics(tmp_path: Path) -> None:
    corpus = small(tmp_path)
    write_audio(corpus.directory / "long.wav", noise(2, 1))
    corpus.add("long", "train", text="THREE MORE WORDS", audio="long.wav")
    corpus.add("again", "train", text="AGAIN", audio="long.wav")
    experiment = corpus.experiment()
    manifests.run(experiment)
    train = read_json(experiment.folder("manifests") / "statistics.json")["splits"]["train"]
    assert train == {
        "utterances": 5,
        "seconds": 5.5,
        "shortest": 0.5,
        "longest": 2.0,
        "speakers": 1,
        "words": 10,
        "characters": 46,
        "vocabulary": 6,
        "repeated_audio": 1,
        "sampling_rate": 16000,
    }


def expect(corpus: SmallCorpus, value: object) -> None:
    (corpus.root / "recipes" / "small" / "expect.json").write_text(json.dumps(value))


def test_unexpected_counts_are_an_error(tmp_path: Path) -> None:
    corpus = small(tmp_path)
    corpus.add("bad", "train", text="")
    expect(corpus, {"train": {"utterances": 4, "words": 8}, "test": {"utterances": 2}})
    with pytest.raises(UserError) as caught:
        manifests.run(corpus.experiment())
    message = str(caught.value)
    assert "train utterances: found 3, expected 4" in message
    assert "train words: found 6, expected 8" in message
    assert "test" not in message.split("rejected")[0]
    assert "rejected: 1 (train, empty text)" in message


def test_all_counts_of_one_version_must_match(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = small(tmp_path)
    first = {"name": "first", "splits": {"train": {"utterances": 3}, "test": {"utterances": 9}}}
    second = {"name": "second", "splits": {"train": {"utterances": 3}, "test": {"utterances": 2}}}
    expect(corpus, {"versions": [first, second]})
    manifests.run(corpus.experiment())
    assert "counts match second" in capsys.readouterr().out


COUNTS = {"train": {"utterances": 4, "hours": 0.0}, "dev": {"utterances": 1}, "test": {"utterances": 1200}}


def test_a_partial_corpus_is_accepted_with_partial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = small(tmp_path)
    expect(corpus, COUNTS)
    with pytest.raises(UserError, match=r"(?s)test utterances: found 2, expected 1,200.*--partial"):
        manifests.run(corpus.experiment())
    experiment = corpus.experiment(corpus={"partial": True})
    manifests.run(experiment)
    assert read_json(experiment.folder("manifests") / "statistics.json")["partial"] == "6 of 1,205 utterances"
    assert "partial: 6 of 1,205 utterances of expect.json" in capsys.readouterr().out


def test_higher_counts_are_not_partial(tmp_path: Path) -> None:
    corpus = small(tmp_path)
    expect(corpus, {**COUNTS, "dev": {"speakers": 0}})
    with pytest.raises(UserError, match="dev speakers: found 1, expected 0"):
        manifests.run(corpus.experiment(corpus={"partial": True}))


def test_a_complete_corpus_is_never_marked_partial(tmp_path: Path) -> None:
    corpus = small(tmp_path)
    expect(corpus, {"train": {"utterances": 3}, "unused": {"utterances": 9}})
    experiment = corpus.experiment(corpus={"partial": True})
    manifests.run(experiment)
    assert read_json(experiment.folder("manifests") / "statistics.json")["partial"] is None


def test_splits_made_up_of_subsets_and_dev_of_speakers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"clean": 2, "other": 3, "more": 1, "test": 1})
    corpus.add("bad", "other", text="", speaker="kept-out")
    corpus.add("good", "other", speaker="kept-out")
    corpus.add("spare", "clean", speaker="kept-out")
    settings = {"train_sets": ["clean", "other"], "dev_speakers": ["kept-out"]}
    expect(corpus, {"clean": {"utterances": 3, "speakers": 2}, "other": {"utterances": 4}})
    experiment = corpus.experiment(corpus=settings)
    manifests.run(experiment)
    assert sorted(cut.id for cut in read_cuts(experiment, "dev")) == ["good", "spare"]
    assert len(list(read_cuts(experiment, "train"))) == 5
    (rejected,) = read_jsonl(experiment.folder("manifests") / "rejected.jsonl")
    assert (rejected["id"], rejected["split"]) == ("bad", "dev")
    assert "more: 1 utterances are not used" in capsys.readouterr().out
    joined = corpus.experiment(corpus={**settings, "dev_sets": ["more"]}, name="joined")
    manifests.run(joined)
    assert len(list(read_cuts(joined, "dev"))) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_sets": ["train", "other"]}, "(?s)no utterances of other; the corpus has.*--partial"),
        ({"dev_sets": ["other"], "partial": True}, r"(?s)no utterances of other.*corpus\.dev_speakers"),
        ({"tests": ["other"], "partial": True}, r"(?s)no utterances of other.*corpus\.tests"),
        ({"dev_speakers": ["nobody"]}, r"(?s)train has no speaker nobody.*some of speaker-train"),
        ({"dev_sets": ["test"]}, "test is in 2 splits"),
    ],
)
def test_an_empty_split_is_an_error(tmp_path: Path, settings: Dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        manifests.run(small(tmp_path).experiment(corpus=settings))


def test_a_missing_training_subset_counts_as_absent(tmp_path: Path) -> None:
    corpus = small(tmp_path)
    expect(corpus, {"train": {"utterances": 3}, "other": {"utterances": 10}})
    experiment = corpus.experiment(corpus={"train_sets": ["train", "other"], "partial": True})
    manifests.run(experiment)
    assert read_json(experiment.folder("manifests") / "statistics.json")["partial"] == "3 of 13 utterances"


def test_words_of_characters(tmp_path: Path) -> None:
    corpus = small(tmp_path)
    corpus.add("chinese", "train", text="一共 三个ok")
    experiment = corpus.experiment(corpus={"words": "characters", "case": "upper"})
    manifests.run(experiment)
    texts = {cut.id: cut.supervisions[0].text for cut in read_cuts(experiment, "train")}
    assert texts["chinese"] == "一 共 三 个 O K"


@pytest.mark.parametrize("value", [[], {"train": 3}, {"versions": []}, {"versions": [{"name": "first"}]}])
def test_malformed_expectations_are_an_error(tmp_path: Path, value: object) -> None:
    corpus = small(tmp_path)
    expect(corpus, value)
    with pytest.raises(UserError, match=r"expect\.json"):
        manifests.run(corpus.experiment())


def test_without_expectations_a_note_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifests.run(small(tmp_path).experiment())
    assert "note: no expect.json" in capsys.readouterr().out


def test_a_split_without_utterances_is_an_error_and_an_unused_one_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = small(tmp_path)
    corpus.add_splits({"extra": 2})
    manifests.run(corpus.experiment())
    assert "extra: 2 utterances are not used by this recipe" in capsys.readouterr().out
    with pytest.raises(UserError, match="no utterances of evaluation"):
        manifests.run(corpus.experiment(corpus={"tests": ["test", "evaluation"]}))


def test_a_missing_corpus_module_or_function_is_an_error(tmp_path: Path) -> None:
    corpus = small(tmp_path)
    with pytest.raises(UserError, match=r"no corpus module .*other\.py"):
        manifests.run(corpus.experiment(corpus={"module": "other"}))
    (tmp_path / "local" / "half.py").write_text("def download(corpus_directory, config):\n    pass\n")
    with pytest.raises(UserError, match="doesn't define utterances"):
        manifests.run(corpus.experiment(corpus={"module": "half"}))


def test_byte_order_mark_and_windows_line_ends_in_a_transcript_file(tmp_path: Path) -> None:
    corpus = small(tmp_path)
    experiment = corpus.experiment()
    listing = corpus.directory / "list.tsv"
    listing.write_bytes(b"\xef\xbb\xbf" + listing.read_bytes().replace(b"\n", b"\r\n\r\n"))
    manifests.run(experiment)
    cuts = list(read_cuts(experiment, "train"))
    assert [cut.id for cut in cuts] == ["train-00", "train-01", "train-02"]
    assert {cut.supervisions[0].text for cut in cuts} == {"WORD TRAIN"}


def test_a_transcript_file_in_another_encoding_names_the_line(tmp_path: Path) -> None:
    corpus = small(tmp_path)
    experiment = corpus.experiment()
    listing = corpus.directory / "list.tsv"
    listing.write_bytes(listing.read_bytes() + "ÉTÉ".encode("latin1"))
    with pytest.raises(UserError, match="line 7 isn't UTF-8: byte 0xc9"):
        manifests.run(experiment)


def test_rows_are_those_of_lhotse() -> None:
    audio = AudioFacts(sampling_rate=16000, samples=32000, content="c")
    one = Utterance("a", Path("a.wav"), "ONE", "s", "test", start=0.1, duration=0.7)
    of = [ValidUtterance(one, "ONE", audio, 1600, 11200), ValidUtterance(one, "ONE", audio, 0, 32000)]
    rows = list(manifest_rows(of))
    assert [recording is None for recording, _, _ in rows] == [False, True]
    for _, supervision, cut in rows:
        assert deserialize_item(copy.deepcopy(cut)).to_dict() == cut
        assert deserialize_item(copy.deepcopy(supervision)).to_dict() == supervision
