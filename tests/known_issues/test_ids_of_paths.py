"""Without ids a/b/0.wav, a-b/0.wav and a/b/0.flac had one id, and `my clips/0.wav` an unusable one."""

import itertools
from pathlib import Path
from typing import List

import pytest

from asrkit.config import CorpusConfig
from asrkit.corpus.transcripts import id_of_path
from asrkit.corpus.utterance import Utterance, load_corpus_module
from asrkit.corpus.validation import validate
from asrkit.pipeline.experiment import REPOSITORY
from tests.corpus.sound import noise, write_audio

PATHS = [
    *(
        "a/b/0.wav",
        "a-b/0.wav",
        "a/b/0.flac",
        "a-b-0.wav",
        "my clips/0.wav",
        "my%20clips/0.wav",
        "my_clips/0.wav",
    ),
    *(
        "é.wav",
        "e\u0301.wav",
        "a\u00a0b.wav",
        "a\u200bb.wav",
        "ab.wav",
        "你好/1.wav",
        "0.1.wav",
        "0.wav",
        "0",
    ),
]


def listed(folder: Path, module: str, rows: List[str]) -> List[Utterance]:
    (folder / "validated.tsv").write_text("\n".join(rows) + "\n", "utf-8")
    return list(
        load_corpus_module(module, REPOSITORY / "local").utterances(folder, CorpusConfig(module="tsv"))
    )


@pytest.mark.parametrize(
    ("module", "columns"), [("tsv", "path\ttext\tspeaker"), ("common_voice", "path\tsentence\tclient_id")]
)
def test_every_path_has_a_unique_valid_id(tmp_path: Path, module: str, columns: str) -> None:
    found = listed(tmp_path, module, [columns, *(f"{path}\tONE\ts" for path in PATHS)])
    for number, one in enumerate(found):
        one.audio.parent.mkdir(parents=True, exist_ok=True)
        write_audio(tmp_path / "made.wav", noise(1, number)).rename(one.audio)
    valid, rejected = validate(found, CorpusConfig(module="tsv"), jobs=1)
    assert (len({one.utterance.id for one in valid}), rejected) == (len(PATHS), [])


def test_ids_do_not_depend_on_other_rows(tmp_path: Path) -> None:
    for rows in itertools.combinations(PATHS, 2):
        found = listed(tmp_path, "tsv", ["path\ttext\tspeaker", *(f"{path}\tONE\ts" for path in rows)])
        assert [one.id for one in found] == [id_of_path(path) for path in rows]
    assert id_of_path("my clips/50%.wav") == "my%20clips/50%25.wav"


def test_a_row_with_an_empty_id_gets_the_id_of_its_path(tmp_path: Path) -> None:
    rows = ["path\ttext\tspeaker\tid", "a.wav\tONE\ts\t u1 ", "b.wav\tONE\ts\t"]
    assert [one.id for one in listed(tmp_path, "tsv", rows)] == ["u1", "b.wav"]
