"""The test set of an experiment: recordings, what stage decode found, and what sherpa-onnx finds."""

from pathlib import Path
from typing import Dict, Iterator, List, Tuple

import numpy as np
import pytest
import soundfile

from asrkit.pipeline.experiment import open_experiment
from asrkit.recognise.bundle import open_bundle
from asrkit.storage.files import read_jsonl


def recordings(exp: Path) -> Iterator[Tuple[str, np.ndarray, int]]:
    """Id, samples and rate of each test utterance."""
    from lhotse import load_manifest

    corpus = open_experiment(exp).corpus_directory
    for cut in load_manifest(exp / "manifests" / "test_cuts.jsonl.gz"):
        samples, rate = soundfile.read(corpus / cut.recording.sources[0].source, dtype="float32")
        yield cut.id, samples, rate


def hypotheses(exp: Path, method: str) -> Dict[str, List[str]]:
    """Words of each test utterance."""
    rows = read_jsonl(exp / "decode" / "test" / f"hypotheses_{method}.jsonl")
    return {row["id"]: row["hyp"] for row in rows}


def sherpa_words(bundle: Path, exp: Path) -> Dict[str, List[str]]:
    """Words of each test utterance by sherpa-onnx, opened as the bundle's model card says."""
    sherpa = pytest.importorskip("sherpa_onnx", reason="needs the package sherpa-onnx")
    described = open_bundle(bundle)
    options = {"rule_fsts": str(bundle / "rules.fst")} if described.has("rules.fst") else {}
    recognizer = sherpa.OfflineRecognizer.from_zipformer_ctc(
        str(bundle / "model.onnx"),
        tokens=str(bundle / "tokens.txt"),
        sample_rate=described.features.sampling_rate,
        feature_dim=described.features.bins,
        ctc_graph=str(bundle / "HLG.fst"),
        **options,
    )
    found = {}
    for key, samples, rate in recordings(exp):
        stream = recognizer.create_stream()
        stream.accept_waveform(rate, samples)
        recognizer.decode_stream(stream)
        found[key] = stream.result.text.split()
    return found
