#!/usr/bin/env python3
"""Formats of an exported model: size, difference from PyTorch, error rate on the test set, speed.

The table is of greedy decoding on one thread, in processor time. Last line: the largest
difference of posteriors of the float32 ONNX model from PyTorch's.
"""

import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import kaldialign
import soundfile
import torch
from measure import find_corpus, make_parser, print_figure, run_measurement
from torch import Tensor

from asrkit.deploy.export import export
from asrkit.deploy.exported import Exported
from asrkit.model.acoustic import load_model
from asrkit.pipeline.cost import read_commit
from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.recognise.bundle import open_bundle
from asrkit.recognise.greedy import greedy_words
from asrkit.recognise.opening import OnnxEncoder
from asrkit.score.formats import render_formats
from asrkit.signal.filterbank import FilterBank
from asrkit.storage.files import write_json
from asrkit.text.units import Units, load_units

Run = Callable[[Tensor, Tensor], Tuple[Tensor, Tensor]]
FORMATS = {
    "PyTorch": "average/model.safetensors",
    "TorchScript": "model.pt",
    "ONNX float32": "model.onnx",
    "ONNX float16": "model.fp16.onnx",
    "ONNX int8": "model.int8.onnx",
}


def measure() -> None:
    """A row per format, into FILE if asked for, then the largest difference."""
    parser = make_parser(__doc__, recipe="an4", exp="a finished experiment of the recipe")
    parser.add_argument("--record", type=Path, metavar="FILE", help="recipes/an4/records/formats.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    experiment = open_experiment(options.exp)
    corpus = find_corpus(options.recipe, options.corpus_dir, options.exp)
    units = load_units(experiment.folder("units"))
    features, texts, seconds = _test_set(experiment, corpus)
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        export(experiment, bundle, int8=True, fp16=True)
        runs = _runs(experiment, bundle)
        reference: List[Tensor] = []
        differences: Dict[str, float] = {}
        rows: List[Dict[str, Any]] = []
        for name, run in runs.items():
            for each in features[:5]:  # TorchScript compiles in the first calls
                run(each[None], torch.tensor([len(each)]))
            begun = time.process_time()
            found = [run(each[None], torch.tensor([len(each)]))[0][0] for each in features]
            elapsed = time.process_time() - begun
            reference = reference or found
            pairs = zip(found, reference)
            differences[name] = max(float((one.exp() - other.exp()).abs().max()) for one, other in pairs)
            errors, words = _errors(found, texts, units)
            size = ((experiment.directory if name == "PyTorch" else bundle) / FORMATS[name]).stat().st_size
            row = {"format": name, "bytes": size, "difference": differences[name], "commit": read_commit()}
            rows.append({**row, "errors": errors, "words": words, "rtf": round(elapsed / seconds, 4)})
    print(render_formats(rows))
    if options.record:
        write_json(options.record, rows)
    print_figure("onnx_float32_posterior_difference", differences["ONNX float32"], digits=2)


def _test_set(experiment: Experiment, corpus: Path) -> Tuple[List[Tensor], List[str], float]:
    """Features (time, bin) and text of each test utterance, and their seconds."""
    from lhotse import load_manifest

    bank = FilterBank(experiment.config.features)
    features, texts, seconds = [], [], 0.0
    for cut in load_manifest(experiment.folder("manifests") / "test_cuts.jsonl.gz"):
        samples, rate = soundfile.read(corpus / cut.recording.sources[0].source, dtype="float32")
        features.append(torch.from_numpy(bank.extract(samples)))
        texts.append(cut.supervisions[0].text)
        seconds += len(samples) / rate
    return features, texts, seconds


def _runs(experiment: Experiment, bundle: Path) -> Dict[str, Run]:
    """Each format as a function of features and lengths."""
    model, _ = load_model(experiment.folder("average") / "model.safetensors")
    described = open_bundle(bundle)

    def in_torch(module: Any) -> Run:
        return torch.no_grad()(module)  # type: ignore[no-any-return]

    runs = {"PyTorch": in_torch(Exported(model).eval())}
    runs["TorchScript"] = in_torch(torch.jit.load(str(bundle / "model.pt")).eval())
    for name, file in FORMATS.items():
        if file.endswith(".onnx"):
            runs[name] = _in_onnxruntime(OnnxEncoder(bundle / file, described))
    return runs


def _in_onnxruntime(encoder: OnnxEncoder) -> Run:
    return lambda features, lengths: encoder(features, lengths)[:2]


def _errors(found: List[Tensor], texts: List[str], units: Units) -> Tuple[int, int]:
    """Word errors of greedy decoding, and words."""
    errors = words = 0
    for log_probs, text in zip(found, texts):
        best = [word.word for word in greedy_words(log_probs, units, 1.0)]
        errors += kaldialign.edit_distance(text.split(), best)["total"]
        words += len(text.split())
    return errors, words


if __name__ == "__main__":
    run_measurement(measure)
