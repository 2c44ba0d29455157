"""Settings that can't change a result made training stale."""

import pytest

from tests.known_issues.conftest import Finished

HOW = (
    *("train.threads=1", "train.processes=2", "train.keep_last=7", "train.keep_best=7", "train.compile=true"),
    *("train.checkpoint_steps=3", "train.gradient_accumulation=2", "features.shard_utterances=7"),
    *("decode.shard_utterances=7", "decode.batch_duration=7", "decode.keep_lattices=false"),
    "corpus.mirror=https://us.openslr.org/resources",
)


def test_nothing_is_stale_for_how_it_would_be_done(yesno: Finished) -> None:
    assert "nothing to do: all 12 stages are fresh" in yesno.run(settings=HOW)


@pytest.mark.parametrize("setting", ["train.epochs=3", "model.dropout=0.2", "train.batch_duration=150"])
def test_what_changes_the_result_still_makes_it_stale(yesno: Finished, setting: str) -> None:
    key = setting.partition("=")[0]
    assert f"would run stage 6 (train): setting {key}: " in yesno.run("--dry-run", settings=[setting])
