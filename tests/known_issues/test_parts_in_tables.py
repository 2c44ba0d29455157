"""The columns start, end, duration and channel of a table were ignored, so each row got the whole file."""

from pathlib import Path
from typing import List, Optional, Tuple

import numpy as np
import pytest

from asrkit.config import CorpusConfig
from asrkit.corpus.derived_audio import derive_audio
from asrkit.corpus.utterance import Utterance, load_corpus_module
from asrkit.corpus.validation import validate
from asrkit.errors import UserError
from asrkit.pipeline.experiment import REPOSITORY
from tests.corpus.sound import noise, write_audio

CONFIG = CorpusConfig(module="tsv")


def listed(folder: Path, columns: str, *rows: str) -> List[Utterance]:
    """Utterances of a table whose rows are a.wav, a text and a speaker, then these columns."""
    lines = [f"path text speaker {columns}", *(f"a.wav ONE s {row}" for row in rows)]
    (folder / "all.tsv").write_text("\n".join(lines).replace(" ", "\t") + "\n")
    return list(load_corpus_module("tsv", REPOSITORY / "local").utterances(folder, CONFIG))


@pytest.mark.parametrize(
    ("columns", "row", "start", "duration", "unused"),
    [
        ("start end", "0.5 2", 0.5, 1.5, ""),
        ("end start", "2 0.5", 0.5, 1.5, ""),
        ("offset duration", "0.5 1.5", 0.5, 1.5, ""),
        ("start duration end", "0.5 3 2", 0.5, 1.5, "duration"),
        ("offset start end", "1 0.5 2", 0.5, 1.5, "offset"),
        ("end", "2", None, 2.0, ""),
        ("start", "0.5", 0.5, None, ""),
        ("duration votes", "2 3", None, None, "duration (without start or offset), votes"),
        ("votes gender locale", "1 f en", None, None, "votes, locale"),
    ],
)
def test_times_are_read_from_the_columns(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    columns: str,
    row: str,
    start: Optional[float],
    duration: Optional[float],
    unused: str,
) -> None:
    one, other = listed(tmp_path, columns, row, row)
    assert (one.start, one.duration, other.duration) == (start, duration, duration)
    assert capsys.readouterr().out == (f"columns not used: {unused}\n" if unused else "")


def test_empty_cells_are_the_whole_recording(tmp_path: Path) -> None:
    (one,) = listed(tmp_path, "start end channel id", "   u")
    assert (one.id, one.start, one.duration, one.derive) == ("u", None, None, None)


@pytest.mark.parametrize(
    ("columns", "row", "found"),
    [
        ("start end", "0 1:30", "end '1:30'"),
        ("start end", "0,5 1", "start '0,5'"),
        ("start end", "nan 1", "start 'nan'"),
        ("start end", "0 inf", "end 'inf'"),
        ("offset duration", "-1 1", "offset '-1'"),
        ("start end", "2 1.5", "a part of -0.5 s from 2 s"),
        ("start duration", "2 0", "a part of 0 s from 2 s"),
        ("channel", "A", "channel 'A'"),
        ("channel", "-1", "channel '-1'"),
    ],
)
def test_bad_numbers_are_errors_with_the_line(tmp_path: Path, columns: str, row: str, found: str) -> None:
    with pytest.raises(UserError) as caught:
        listed(tmp_path, f"id {columns}", f"u {row}")
    assert str(caught.value).startswith(found) and "all.tsv, line 2" in str(caught.value)


def read(folder: Path, columns: str, *rows: str) -> List[Tuple[str, float, np.ndarray]]:
    """Id, seconds and samples of the valid utterances."""
    from asrkit.signal.audio import read_samples

    utterances, damaged = derive_audio(listed(folder, columns, *rows), CONFIG, folder / "derived", 1)
    valid, rejected = validate(utterances, CONFIG, jobs=1)
    assert not damaged and not rejected
    return [
        (each.utterance.id, each.seconds, read_samples(each.utterance.audio, each.first_sample, each.samples))
        for each in valid
    ]


def test_parts_of_a_channel_are_read(tmp_path: Path) -> None:
    sound = noise(2, 1, channels=2)
    write_audio(tmp_path / "a.wav", sound)
    found = read(tmp_path, "start end channel", "0 0.5 1", "0.5 2 0", "0.5 2 1")
    assert [each[:2] for each in found] == [("a.wav-0-1", 0.5), ("a.wav-0.5-0", 1.5), ("a.wav-0.5-1", 1.5)]
    assert np.allclose(found[0][2], sound[:8000, 1], atol=1e-4)
    assert np.allclose(found[1][2], sound[8000:, 0], atol=1e-4)
    assert len(list((tmp_path / "derived").iterdir())) == 2
