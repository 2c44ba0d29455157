"""asrkit new-recipe: each form of corpus, missing splits, settings with reasons, a run to a score."""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import lhotse
import pytest
import soundfile
from click.testing import CliRunner, Result

from asrkit.cli.new_recipe import command
from asrkit.config import CorpusConfig, load_config
from asrkit.corpus.audio import AudioFacts
from asrkit.corpus.synthesis import Speech, speak_files
from asrkit.corpus.utterance import Utterance, load_corpus_module
from asrkit.corpus.validation import ValidUtterance
from asrkit.errors import UserError
from asrkit.onboarding.suggestion import suggest_settings
from asrkit.pipeline.experiment import REPOSITORY, Experiment
from asrkit.stages import manifests
from asrkit.storage.files import read_json, read_jsonl
from tests.corpus.sound import kinds, noise, write_audio

Row = Tuple[str, str, str]  # split, speaker, text

ROWS: List[Row] = [
    *(("train", f"s{number % 6}", f"word {number % 7} again") for number in range(24)),
    *(("dev", f"d{number % 2}", "word again") for number in range(4)),
    *(("test", f"t{number % 2}", "word 3") for number in range(4)),
]


def new_recipe(place: Path, folder: Path, *options: str) -> Result:
    """The recipe folder/recipes/new."""
    (folder / "recipes").mkdir(exist_ok=True)
    arguments = ["new", "--from", str(place), "--recipes", str(folder / "recipes"), "--nj", "1", *options]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def run_manifests(folder: Path, corpus: Path) -> Experiment:
    recipe = folder / "recipes" / "new"
    config = load_config(recipe / "recipe.yaml")
    experiment = Experiment(config, folder / "exp", corpus, recipe, 1)
    manifests.run(experiment)
    return experiment


def write_all(
    folder: Path, rows: Sequence[Row] = ROWS, suffix: str = ".wav", rate: int = 16000
) -> List[Path]:
    """0.5 s of noise per row."""
    files = []
    for number, (split, speaker, _) in enumerate(rows):
        file = folder / split / f"{speaker}-{number:02d}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".mp3":
            soundfile.write(file, noise(0.5, number, rate), rate, format="MP3")
        else:
            write_audio(file, noise(0.5, number, rate), rate)
        files.append(file)
    return files


def write_table(file: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    file.write_text("".join("\t".join(row) + "\n" for row in [columns, *rows]), encoding="utf-8")


def of_split(files: Sequence[Path], split: str) -> List[Tuple[Path, str, str]]:
    """File, speaker and text of each row of a split."""
    return [(file, who, text) for file, (to, who, text) in zip(files, ROWS) if to == split]


def as_table(corpus: Path) -> Path:
    files = write_all(corpus)
    rows = [(str(file.relative_to(corpus)), text, who, to) for file, (to, who, text) in zip(files, ROWS)]
    write_table(corpus / "all.tsv", ("path", "text", "speaker", "split"), rows)
    return corpus / "all.tsv"


def as_tables(corpus: Path) -> Path:
    files = write_all(corpus)
    for split in ("train", "dev", "test"):
        rows = [(str(file.relative_to(corpus)), text, who) for file, who, text in of_split(files, split)]
        write_table(corpus / f"{split}.tsv", ("path", "text", "speaker"), rows)
    return corpus


def as_kaldi(corpus: Path) -> Path:
    files = write_all(corpus / "audio")
    for split in ("train", "dev", "test"):
        lines: Dict[str, List[str]] = {"wav.scp": [], "text": [], "utt2spk": []}
        for file, who, text in of_split(files, split):
            for name, value in zip(lines, (str(file.relative_to(corpus)), text, who)):
                lines[name].append(f"{file.stem} {value}\n")
        (corpus / split).mkdir()
        for name, content in lines.items():
            (corpus / split / name).write_text("".join(content))
    return corpus


def as_cut_sets(corpus: Path) -> Path:
    files = write_all(corpus)
    for split in ("train", "dev", "test"):
        cuts = []
        for file, who, text in of_split(files, split):
            recording = lhotse.Recording.from_file(file, recording_id=file.stem)
            recording.sources[0].source = str(file.relative_to(corpus))
            segment = lhotse.SupervisionSegment(file.stem, file.stem, 0.0, 0.5, text=text, speaker=who)
            cuts.append(dataclasses.replace(recording.to_cut(), supervisions=[segment]))
        lhotse.CutSet.from_cuts(cuts).to_file(corpus / f"{split}_cuts.jsonl.gz")
    return corpus


def as_common_voice(corpus: Path) -> Path:
    files = write_all(corpus / "clips", suffix=".mp3", rate=48000)
    columns = ("client_id", "path", "sentence", "up_votes")
    for split in ("train", "dev", "test"):
        rows = [
            (who * 9, str(file.relative_to(corpus / "clips")), f"“{text.capitalize()}.”", "2")
            for file, who, text in of_split(files, split)
        ]
        write_table(corpus / f"{split}.tsv", columns, rows)
    return corpus


@pytest.mark.parametrize("make", [as_table, as_tables, as_kaldi, as_cut_sets, as_common_voice])
def test_each_form_gives_the_same_corpus(tmp_path: Path, make: Any) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    new_recipe(make(corpus), tmp_path)
    assert sorted(file.name for file in (tmp_path / "recipes" / "new").iterdir()) == [
        *("README.md", "expect.json", "recipe.yaml", "run.sh"),
    ]
    experiment = run_manifests(tmp_path, corpus)
    assert read_jsonl(experiment.folder("manifests") / "rejected.jsonl") == []
    for split, (utterances, speakers) in {"train": (24, 6), "dev": (4, 2), "test": (4, 2)}.items():
        rows = read_jsonl(experiment.folder("manifests") / f"{split}_supervisions.jsonl.gz")
        texts = [text for to, _, text in ROWS if to == split]
        assert sorted(row["text"].lower() for row in rows) == sorted(texts)
        assert (len(rows), len({row["speaker"] for row in rows})) == (utterances, speakers)
    expected = read_json(tmp_path / "recipes" / "new" / "expect.json")["test"]
    assert 0 < expected.pop("hours") < 0.1
    assert expected == {"utterances": 4, "words": 8, "speakers": 2}


def test_missing_splits_are_carved_out_by_speaker(tmp_path: Path) -> None:
    rows = [("train", f"s{number % 20:02d}", "one two") for number in range(60)]
    corpus = tmp_path / "corpus"
    files = write_all(corpus, rows)
    table = [(file.name, text, who) for file, (_, who, text) in zip(files, rows)]
    write_table(corpus / "train" / "list.tsv", ("path", "text", "speaker"), table)
    new_recipe(corpus / "train" / "list.tsv", tmp_path)
    recipe = (tmp_path / "recipes" / "new" / "recipe.yaml").read_text()
    assert "held_out: [dev, test] # by speaker; the corpus has no dev and no test" in recipe
    experiment = run_manifests(tmp_path, corpus / "train")
    overlaps = read_json(experiment.folder("manifests") / "statistics.json")["overlaps"]
    assert [pair["speakers"] for pair in overlaps] == [0, 0, 0]
    counts = read_json(tmp_path / "recipes" / "new" / "expect.json")
    assert [counts[split]["utterances"] for split in ("train", "dev", "test")] == [48, 6, 6]


def test_damage_raises_max_bad_fraction_and_is_printed(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    table = as_table(corpus)
    (corpus / "train" / "s0-00.wav").write_bytes(b"no audio")
    output = new_recipe(table, tmp_path).output
    assert "train: 1 rejected: not readable audio" in output
    recipe = (tmp_path / "recipes" / "new" / "recipe.yaml").read_text()
    assert "max_bad_fraction: 0.05 # 1 of 24 utterances of train can't be used" in recipe
    experiment = run_manifests(tmp_path, corpus)
    assert kinds(read_jsonl(experiment.folder("manifests") / "rejected.jsonl")) == {
        "train/s0-00.wav": "not readable audio"
    }


def test_mixed_rates_set_min_sampling_rate_above_telephone_speech(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    table = as_table(corpus)
    for number in range(6, 12):
        write_audio(corpus / "train" / f"s{number % 6}-{number:02d}.wav", noise(0.5, number, 32000), 32000)
    write_audio(corpus / "train" / "s0-00.wav", noise(0.5, 1, 8000), 8000)
    new_recipe(table, tmp_path)
    experiment = run_manifests(tmp_path, corpus)
    assert "min_sampling_rate: 16000 # Hz" in (tmp_path / "recipes" / "new" / "recipe.yaml").read_text()
    assert kinds(read_jsonl(experiment.folder("manifests") / "rejected.jsonl")) == {
        "train/s0-00.wav": "other sampling rate"
    }


ABSENT = "path\ttext\tspeaker\n" + "".join(f"{number}.wav\tONE\ts\n" for number in range(9))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("path\ttext\na.wav\tONE\n", "the columns path, text|path, text, speaker|line 1"),
        ("path\ttext\tspeaker\na.wav\tONE\n", "2 columns|3, as in the header|line 2"),
        ("path\ttext\tspeaker\tsplit\na.wav\tONE\ts\tvalid\n", "the splits valid|begins with train|"),
        (ABSENT, "no utterance of train can be used|.wav: missing audio file: |"),
    ],
)
def test_a_malformed_table_is_an_error_with_its_line(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "list.tsv").write_text(content)
    with pytest.raises(UserError) as caught:
        new_recipe(tmp_path / "list.tsv", tmp_path)
    assert all(word in str(caught.value) for word in words.split("|"))
    assert not (tmp_path / "recipes" / "new").exists()


def test_no_corpus_and_an_existing_recipe_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no corpus in"):
        new_recipe(tmp_path, tmp_path)
    corpus = tmp_path / "corpus"
    new_recipe(as_table(corpus), tmp_path)
    with pytest.raises(UserError, match="new exists"):
        new_recipe(corpus / "all.tsv", tmp_path)


def test_a_name_that_is_a_yaml_boolean_and_a_folder_with_a_space(tmp_path: Path) -> None:
    table = as_table(tmp_path / "my corpus")
    (tmp_path / "recipes").mkdir()
    arguments = ["yes", "--from", str(table), "--recipes", str(tmp_path / "recipes"), "--nj", "1"]
    output = CliRunner().invoke(command, arguments, catch_exceptions=False).output
    assert output.endswith(f"yes/run.sh --corpus-dir '{tmp_path}/my corpus'\n")
    assert load_config(tmp_path / "recipes" / "yes" / "recipe.yaml").name == "yes"


def settings(
    seconds: float,
    texts: Sequence[str],
    rate: int = 16000,
    dev_texts: Sequence[str] = (),
    units: Optional[str] = None,
) -> Dict[str, Any]:
    """Suggestions for 10 s utterances with these texts in turn."""
    audio = AudioFacts(rate, 10 * rate, "c")
    train = [
        ValidUtterance(
            Utterance(str(number), Path("a"), "", "s", "train"),
            texts[number % len(texts)],
            audio,
            0,
            10 * rate,
        )
        for number in range(round(seconds / 10))
    ]
    dev = [dataclasses.replace(train[0], text=text) for text in dev_texts]
    return {suggestion.key: suggestion.value for suggestion in suggest_settings(train, dev, units)}


def test_suggestions_depend_on_hours_and_text() -> None:
    sentence = ["THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG AND SLEEPS AGAIN"]
    small, large = settings(1800, sentence), settings(100 * 3600, sentence)
    assert (small["units.kind"], small["train.batch_duration"], small["train.epochs"]) == (
        "characters",
        40,
        37,
    )
    assert (large["units.kind"], large["units.vocabulary_size"], large["train.epochs"]) == ("bpe", 500, 15)
    assert small["model.attention_dim"] < large["model.attention_dim"]
    assert "features.sampling_rate" not in small
    assert settings(600, sentence)["train.batch_duration"] == 10
    assert (large["train.batch_duration"], large["train.warmup_steps"]) == (400, 2000)
    assert "train.warmup_steps" not in small
    assert large["train.epochs"] * 3 * 100 * 3600 / 400 == 40500  # steps, at three speeds
    spelled = settings(100 * 3600, sentence, units="characters")
    assert "units.vocabulary_size" not in spelled  # it would have no effect
    assert settings(1800, sentence, 8000)["features.sampling_rate"] == 8000


def test_oov_words_in_dev_suggest_lexicon_free_decoding() -> None:
    sentence = ["THE QUICK BROWN FOX"]
    lacking = settings(600, sentence, dev_texts=["THE QUICK", "THE THORN"])
    assert lacking["decode.methods"] == ["greedy", "prefix-beam-search", "1best"]
    given = settings(600, sentence, dev_texts=["THE QUICK", "THE THORN"], units="phones")
    assert "decode.methods" not in given  # phones don't spell words
    for few in (["THE FOX"] * 10 + ["THE THORN"], ["THE DAY"]):  # characters of the last are unseen
        assert "decode.methods" not in settings(600, sentence, dev_texts=few)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["The cat", "the cat"], {"case": "lower", "words": "spaced"}),
        (["the cat", "THE DOG"], {"case": "lower", "words": "spaced"}),
        (["THE CAT", "A DOG"], {"case": "as-is", "words": "spaced"}),
        (
            ["".join(chr(0x4E00 + 7 * number + offset) for offset in range(7)) for number in range(40)],
            {"case": "as-is", "words": "characters"},
        ),
        (
            [
                "".join(chr(0x4E00 + 7 * number + offset) for offset in range(7)) + " ok"
                for number in range(40)
            ],
            {"case": "as-is", "words": "mixed"},
        ),
    ],
)
def test_words_and_case_fit_the_text_and_stage_manifests_has_the_same_counts(
    tmp_path: Path, texts: List[str], expected: Dict[str, str]
) -> None:
    rows = [("train", f"s{number % 10}", texts[number % len(texts)]) for number in range(60)]
    files = write_all(tmp_path / "corpus", rows)
    table = [(str(file), text, who) for file, (_, who, text) in zip(files, rows)]
    write_table(tmp_path / "corpus" / "list.tsv", ("path", "text", "speaker"), table)
    new_recipe(tmp_path / "corpus" / "list.tsv", tmp_path)
    config = run_manifests(tmp_path, tmp_path / "corpus").config  # which compares with expect.json
    assert {"case": config.corpus.case, "words": config.corpus.words} == expected
    assert (config.score.unit == "character") == (expected["words"] == "characters")


TINY = (
    *("model.stem_channels=4", "model.stage_blocks=[1,1]", "model.stage_channels=[4,4]"),
    *("model.stage_time_strides=[1,2]", "model.stage_frequency_strides=[2,2]", "model.attention_blocks=1"),
    *("model.attention_dim=16", "model.attention_heads=2", "model.feedforward_dim=16"),
    *("train.epochs=1", "features.speed_factors=[1.0]", "train.threads=1"),
    *("average.candidates=[best-1]", "decode.lm_scales=[0.5]", "decode.word_bonuses=[0.0]"),
    *(
        "decode.search_beam=4",
        "decode.output_beam=2",
        "decode.max_active_states=200",
    ),  # an untrained model needs narrow beams
    "decode.prefix_beams=4",
)


def run_recipe(folder: Path, corpus: Path, *options: str) -> List[Dict[str, Any]]:
    """run.sh with a tiny model for one epoch; the results."""
    shutil.copytree(REPOSITORY / "utils", folder / "utils")
    arguments = [word for setting in TINY for word in ("--set", setting)]
    done = subprocess.run(
        [
            *(str(folder / "recipes" / "new" / "run.sh"), "--corpus-dir", str(corpus), "--nj", "1"),
            *("--exp", str(folder / "exp"), *arguments, *options),
        ],
        env={**os.environ, "VIRTUAL_ENV": sys.prefix, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    results: List[Dict[str, Any]] = read_json(folder / "exp" / "results.json")
    return results


def scores(results: Sequence[Dict[str, Any]]) -> Dict[Tuple[str, str], int]:
    """Reference words by test set and method."""
    tests = [row for row in results if row["unit"] == "word" and row["role"] == "test"]
    return {(row["set"], row["method"]): row["reference"] for row in tests}


@pytest.mark.k2
@pytest.mark.recipe
def test_spoken_digits_as_a_table_run_to_a_score(tmp_path: Path) -> None:
    pytest.importorskip("k2")
    pytest.importorskip("py_nanotts")
    corpus = tmp_path / "digits"
    rows, jobs = [], []
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    for voice in ("en-GB", "en-US", "de-DE", "es-ES", "fr-FR", "it-IT"):
        for digit, word in enumerate(words):
            name = f"{digit}_{voice}_0.wav"  # as in the Free Spoken Digit Dataset
            rows.append((name, word, voice))
            jobs.append((Speech(voice, 100, 100, word), corpus / name))
    corpus.mkdir()
    speak_files(jobs, 1)
    write_table(corpus / "digits.tsv", ("path", "text", "speaker"), rows)
    new_recipe(corpus / "digits.tsv", tmp_path)
    assert scores(run_recipe(tmp_path, corpus)) == {("test", "greedy"): 10, ("test", "1best"): 10}


@pytest.mark.k2
@pytest.mark.recipe
def test_an4_as_a_table_runs_to_a_score(tmp_path: Path, corpora: Callable[[str], Path]) -> None:
    pytest.importorskip("k2")
    pytest.importorskip("pyctcdecode")
    module = load_corpus_module("an4", REPOSITORY / "local")
    rows = []
    for one in module.utterances(corpora("an4"), CorpusConfig(module="an4")):
        if sum(row[3] == one.split for row in rows) < {"train": 80, "dev": 10, "test": 10}[one.split]:
            rows.append((str(one.audio), one.text, one.speaker, one.split))
    (tmp_path / "an4").mkdir()
    write_table(tmp_path / "an4" / "an4.tsv", ("path", "text", "speaker", "split"), rows)
    new_recipe(tmp_path / "an4" / "an4.tsv", tmp_path)
    words = sum(len(row[1].split()) for row in rows if row[3] == "test")
    assert scores(run_recipe(tmp_path, tmp_path / "an4")) == {
        ("test", "greedy"): words,
        ("test", "prefix-beam-search"): words,  # because train is small and dev has many OOV words
        ("test", "1best"): words,
    }


@pytest.mark.k2
@pytest.mark.recipe
def test_librispeech_as_kaldi_directories_runs_to_a_score(
    tmp_path: Path, corpora: Callable[[str], Path]
) -> None:
    pytest.importorskip("k2")
    words = 0
    for split, count in (("train-clean-100", 60), ("test-other", 4)):
        lines: Dict[str, List[str]] = {"wav.scp": [], "text": [], "utt2spk": []}
        for listing in sorted((corpora("librispeech") / "LibriSpeech" / split).rglob("*.trans.txt"))[:count]:
            for line in listing.read_text().splitlines()[:5]:
                id, text = line.split(" ", 1)
                for name, value in zip(lines, (str(listing.parent / f"{id}.flac"), text, id.split("-")[0])):
                    lines[name].append(f"{id} {value}\n")
                words += len(text.split()) if split == "test-other" else 0
        (tmp_path / "data" / split).mkdir(parents=True)
        for name, content in lines.items():
            (tmp_path / "data" / split / name).write_text("".join(content))
    new_recipe(tmp_path / "data", tmp_path)
    methods = ("--set", "decode.methods=[greedy, 1best]")  # prefix-beam-search is tested with an4
    assert scores(run_recipe(tmp_path, tmp_path / "data", *methods)) == {
        ("test-other", "greedy"): words,
        ("test-other", "1best"): words,
    }
