"""asrkit prune on a model of yesno: a smaller model that transcribes and can be fine-tuned."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from asrkit.cli.prune import command
from asrkit.errors import UserError
from asrkit.recognise.opening import open_recognizer
from asrkit.recognise.segmentation import SegmentOptions
from tests.known_issues.conftest import Finished
from tests.known_issues.conftest import finished_yesno as finished_yesno
from tests.known_issues.conftest import yesno as yesno

pytestmark = pytest.mark.k2


def test_a_pruned_experiment_transcribes_and_another_training_starts_from_it(
    yesno: Finished, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    arguments = ["--exp", str(yesno.exp), "--keep", "0.5", "--output", str(small)]
    printed = CliRunner().invoke(command, arguments, catch_exceptions=False).output
    whole, pruned = (int(line.split()[1].replace(",", "")) for line in printed.splitlines()[:2])
    assert pruned < 0.75 * whole
    assert yaml.safe_load((small / "model.yaml").read_text())["model"]["encoder_feedforward_dim"] is not None
    recording = next(iter(sorted((yesno.corpus / "waves_yesno").glob("*.wav"))))
    for method in ("greedy", "1best"):
        words = open_recognizer(small, method).transcribe(recording, SegmentOptions(whole=True)).text.split()
        assert set(words) <= {"YES", "NO"}
    options = ("--init-from", str(small), "--config", str(small / "model.yaml"), "--stop-stage", "train")
    assert f"tensors from {small}, 0 not" in yesno.run(*options)
    with pytest.raises(UserError, match="exists"):
        CliRunner().invoke(command, arguments, catch_exceptions=False)
