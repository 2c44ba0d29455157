"""Sets that asrkit itself held out of meetings by speaker were refused with advice to change the corpus.

Speakers of a meeting overlap in one recording, so splits by speaker share audio.
"""

import pytest

from asrkit.config import CorpusConfig
from asrkit.corpus.statistics import refuse_shared_audio
from asrkit.errors import UserError
from tests.known_issues.test_overlapping_segments import segments


def advice(config: CorpusConfig, second: str) -> str:
    splits = {"train": segments("train", (0.0, 8.0)), second: segments(second, (1.0, 8.0))}
    with pytest.raises(UserError, match="share more than half of their audio") as error:
        refuse_shared_audio(splits, config)
    return error.value.todo


def test_sets_of_the_corpus_are_corrected_in_it() -> None:
    assert advice(CorpusConfig(module="any", held_out=("test",)), "dev").startswith("remove them from one")


def test_dev_speakers_are_chosen_by_recording() -> None:
    todo = advice(CorpusConfig(module="any", dev_speakers=("A",)), "dev")
    assert "--set 'corpus.dev_speakers=[ID, ...]'" in todo and "all speakers of some recordings" in todo


def test_sets_held_out_are_chosen_otherwise() -> None:
    config = CorpusConfig(module="any", held_out=("dev", "test"))
    todo = advice(config, "dev")
    assert "corpus.held_out=[test]" in todo and "--set 'corpus.dev_speakers=[ID, ...]'" in todo
    todo = advice(config, "test")
    assert "by recording" in todo and "dev_speakers" not in todo
