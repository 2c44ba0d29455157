"""The model card of a bundle: what it is, how well it does, and how to load it."""

from pathlib import Path
from typing import Any, Dict, List, Optional

import msgspec

from asrkit.pipeline.cost import read_cost
from asrkit.pipeline.experiment import Experiment
from asrkit.recognise.bundle import Bundle
from asrkit.score.records import RATES
from asrkit.storage.files import write_text


def write_card(file: Path, bundle: Bundle, experiment: Experiment, chunk: Optional[float] = None) -> None:
    """Write README.md of a bundle; `chunk`: seconds, of its model for streams."""
    cost = read_cost(experiment)
    lines = [
        f"# {bundle.name}",
        "",
        "Speech recognition: a CTC acoustic model"
        + (" with a decoding graph of words." if "lm_scale" in bundle.weights else "."),
        "",
        "| | |",
        "| --- | --- |",
        f"| trained on | {bundle.name}, train: {cost.get('audio_hours', '?')} h of audio |",
        f"| parameters | {cost.get('parameters', 0):,} |",
        f"| tokens | {bundle.tokens}, {bundle.token_kind} |",
        f"| audio | {bundle.features.sampling_rate} Hz, one channel |",
        f"| features | {bundle.features.bins} log-Mel bins, {bundle.features.frame_length * 1000:g} ms every "
        f"{bundle.features.frame_shift * 1000:g} ms (Kaldi's, without dither) |",
        f"| before the features | {_steps(bundle)} |",
        f"| subsampling | {bundle.subsampling}: a frame of the model is {bundle.frame_shift * 1000:g} ms |",
        f"| exported | {bundle.exported}, commit {bundle.commit or '?'}, "
        f"configuration {bundle.configuration or '?'}, training {bundle.training or '?'} |",
        "| licence | that of the corpus: models may not be used where the corpus may not |",
        "",
        "## Results",
        "",
        *_results(bundle.results),
        "## Load it",
        "",
        "With asrkit: `asrkit transcribe --model FOLDER audio.wav`. With sherpa-onnx, in Python:",
        "",
        "```python",
        *_python(bundle),
        "```",
        "",
        "`model.onnx`: x (N, T, C) float32, features that aren't normalised; x_lens (N) int64; returns",
        "log_probs (N, T', V) and lens (N). `model.pt` is the same in TorchScript.",
        *(_streaming(bundle, chunk) if chunk is not None else []),
    ]
    write_text(file, "\n".join(lines) + "\n")


def _steps(bundle: Bundle) -> str:
    if not bundle.steps:
        return "nothing"
    steps = ", ".join(str(msgspec.to_builtins(step)) for step in bundle.steps)
    return f"{steps}: asrkit does this; other programs have to do it before they call the model"


def _results(rows: List[Dict[str, Any]]) -> List[str]:
    if not rows:
        return ["No test set has been decoded.", ""]
    lines = ["| test set | method | errors | rate [95 % interval] |", "| --- | --- | --- | --- |"]
    for row in rows:
        low, high = row["interval"]
        lines.append(
            f"| {row['set']} | {row['method']} | {row['errors']}/{row['reference']} "
            f"| {RATES.get(row['unit'], row['unit'])} {row['rate']:.2f} % [{low:.2f}, {high:.2f}] |"
        )
    return [*lines, ""]


def _streaming(bundle: Bundle, chunk: float) -> List[str]:
    options = ", ".join(['tokens="tokens.txt", model="model.streaming.onnx"', *_options(bundle)])
    return [
        "",
        f"`model.streaming.onnx` recognises streams in chunks of {chunk:g} s:",
        "",
        "```python",
        "import numpy, sherpa_onnx, soundfile",
        f"recognizer = sherpa_onnx.OnlineRecognizer.from_zipformer2_ctc({options})",
        'samples, rate = soundfile.read("audio.wav", dtype="float32")',
        "stream = recognizer.create_stream()",
        "stream.accept_waveform(rate, samples)  # in pieces of any length, as they come",
        'stream.accept_waveform(rate, numpy.zeros(rate, dtype="float32"))  # a second, for the last words',
        "stream.input_finished()",
        "while recognizer.is_ready(stream):",
        "    recognizer.decode_stream(stream)",
        "print(recognizer.get_result(stream))",
        "```",
    ]


def _options(bundle: Bundle) -> List[str]:
    """Further arguments of sherpa-onnx's recognisers."""
    options = []
    if bundle.features.sampling_rate != 16000 or bundle.features.bins != 80:
        options.append(f"sample_rate={bundle.features.sampling_rate}, feature_dim={bundle.features.bins}")
    if "lm_scale" in bundle.weights:
        options.append('ctc_graph="HLG.fst"')
    if bundle.token_kind == "phones":
        options.append('rule_fsts="rules.fst"')
    return options


def _python(bundle: Bundle) -> List[str]:
    options = ['"model.onnx"', 'tokens="tokens.txt"', *_options(bundle)]
    return [
        "import sherpa_onnx, soundfile",
        f"recognizer = sherpa_onnx.OfflineRecognizer.from_zipformer_ctc({', '.join(options)})",
        'samples, rate = soundfile.read("audio.wav", dtype="float32")',
        "stream = recognizer.create_stream()",
        "stream.accept_waveform(rate, samples)",
        "recognizer.decode_stream(stream)",
        "print(stream.result.text)",
    ]
