"""AN4's official test set in the programs that use a model: all 130 utterances.

A trained experiment is needed, which takes too long for a test: ASRKIT_AN4_EXPERIMENT names its folder.
"""

import os
from pathlib import Path
from typing import Any, Callable, Iterator, Tuple

import numpy as np
import pytest
import soundfile

from asrkit.deploy.export import export
from asrkit.pipeline.experiment import open_experiment
from asrkit.recognise.recognizer import Recognizer
from asrkit.recognise.segmentation import SegmentOptions
from asrkit.storage.files import read_jsonl

pytestmark = pytest.mark.k2


@pytest.fixture(scope="module")
def an4() -> Path:
    folder = os.environ.get("ASRKIT_AN4_EXPERIMENT")
    if not folder:
        pytest.skip("ASRKIT_AN4_EXPERIMENT isn't set: no trained experiment on AN4")
    return Path(folder)


def recordings(exp: Path, corpus: Path) -> Iterator[Tuple[str, np.ndarray, int]]:
    """Id, samples and rate of each test utterance."""
    from lhotse import load_manifest

    for cut in load_manifest(exp / "manifests" / "test_cuts.jsonl.gz"):
        samples, rate = soundfile.read(corpus / cut.recording.sources[0].source, dtype="float32")
        yield cut.id, samples, rate


def test_sherpa_onnx_and_asrkit_find_the_same_words(
    an4: Path, corpora: Callable[[str], Path], tmp_path: Path
) -> None:
    sherpa: Any = pytest.importorskip("sherpa_onnx", reason="make extras installs sherpa-onnx")
    pytest.importorskip("onnxruntime", reason="needs the extra [use]")
    rows = read_jsonl(an4 / "decode" / "test" / "hypotheses_1best.jsonl")
    decoded = {row["id"]: row["hyp"] for row in rows}
    bundle = tmp_path / "bundle"
    export(open_experiment(an4), bundle)
    client = sherpa.OfflineRecognizer.from_zipformer_ctc(
        str(bundle / "model.onnx"),
        tokens=str(bundle / "tokens.txt"),
        ctc_graph=str(bundle / "HLG.fst"),
        rule_fsts=str(bundle / "rules.fst"),
    )
    transcriber = Recognizer.open(bundle, "1best")
    count = 0
    for key, samples, rate in recordings(an4, corpora("an4")):
        stream = client.create_stream()
        stream.accept_waveform(rate, samples)
        client.decode_stream(stream)
        found = transcriber.transcribe((samples, rate), SegmentOptions(whole=True)).text.split()
        assert stream.result.text.split() == found, key
        assert found == decoded[key], key
        count += 1
    assert count == 130
