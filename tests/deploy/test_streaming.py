"""A model trained for streams in use: by asrkit transcribe --stream, exported, and run by sherpa-onnx."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, List

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner, Result

from asrkit.cli import latency
from asrkit.cli.transcribe import command
from asrkit.deploy.export import export
from asrkit.errors import UserError
from asrkit.model.acoustic import greedy_ctc
from asrkit.model.streaming import StreamingModel
from asrkit.pipeline.experiment import open_experiment
from asrkit.recognise.latency import _delays
from asrkit.recognise.opening import open_stream_recognizer
from asrkit.recognise.stream import StreamRecognizer, encode_chunks
from asrkit.storage.files import read_json
from tests.deploy.speech import recordings

pytestmark = pytest.mark.k2


def masked_words(recognizer: StreamRecognizer, samples: np.ndarray) -> List[str]:
    """Words that the best units of the whole utterance spell, under the mask of chunks."""
    streaming = recognizer.model
    assert isinstance(streaming, StreamingModel)
    features = torch.from_numpy(recognizer.bank.extract(samples))[None]
    lengths = torch.tensor([features.shape[1]])
    with torch.no_grad():
        normalised = streaming.model.normalise(features, lengths)
        _, log_probs, frames = streaming.model.encode(normalised, lengths, streaming.chunk)
    return recognizer.units.words(greedy_ctc(log_probs, frames.tolist())[0])


def run(*arguments: Any, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(command, ["--stream", *map(str, arguments)], input=stdin)


def test_stdin_gives_partial_and_final_texts(streaming_yesno: Path) -> None:
    recognizer = open_stream_recognizer(streaming_yesno, "greedy")
    _, samples, _ = next(recordings(streaming_yesno))
    options = ("--exp", streaming_yesno, "--method", "greedy", "--format", "json", "-")
    result = run(*options, stdin=(samples * 32768).astype("<i2").tobytes())
    rows = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    finals = [row for row in rows if row["type"] == "final"]
    said = [word["word"] for row in finals for word in row["words"]]
    assert said == masked_words(recognizer, samples) and said
    partial = [row["text"] for row in rows if row["type"] == "partial"]
    assert len(partial) > 3 and finals[0]["text"].startswith(partial[0].split()[0])


def test_the_graph_finds_final_words(streaming_yesno: Path) -> None:
    recognizer = open_stream_recognizer(streaming_yesno)
    for _, samples, _ in list(recordings(streaming_yesno))[:5]:
        finals = [update.segment for update in recognizer.transcribe([samples]) if update.is_final]
        assert {word.word for each in finals for word in each.words} <= {"YES", "NO"}


def test_what_does_not_stream_is_refused(streaming_yesno: Path, finished_yesno: Path) -> None:
    with pytest.raises(UserError, match=r"trained without train\.chunk"):
        open_stream_recognizer(finished_yesno)
    with pytest.raises(UserError, match="method attention-decoder"):
        open_stream_recognizer(streaming_yesno, "attention-decoder")
    wave = run("--exp", streaming_yesno, "-", stdin=b"RIFF" + bytes(100))
    assert isinstance(wave.exception, UserError) and "arecord -t raw" in str(wave.exception)
    both = run("--exp", streaming_yesno, "--whole", "-")
    assert isinstance(both.exception, UserError) and "--stream with --whole" in str(both.exception)


def test_sherpa_onnx_finds_the_same_tokens(streaming_yesno: Path, tmp_path: Path) -> None:
    sherpa = pytest.importorskip("sherpa_onnx", reason="needs the package sherpa-onnx")
    pytest.importorskip("onnx", reason="needs the extra [export]")
    export(open_experiment(streaming_yesno), tmp_path / "bundle", chunk=0.32)
    assert "from_zipformer2_ctc" in (tmp_path / "bundle" / "README.md").read_text()
    theirs = sherpa.OnlineRecognizer.from_zipformer2_ctc(
        tokens=str(tmp_path / "bundle" / "tokens.txt"),
        model=str(tmp_path / "bundle" / "model.streaming.onnx"),
        sample_rate=8000,
        feature_dim=40,
    )
    ours = open_stream_recognizer(streaming_yesno, "greedy")
    assert len(list(recordings(streaming_yesno))) == 30
    for _, samples, rate in recordings(streaming_yesno):
        samples = np.concatenate([samples, np.zeros(rate, np.float32)])
        stream, live = theirs.create_stream(), ours.stream()
        for piece in np.array_split(samples, 50):
            stream.accept_waveform(rate, piece)
            while theirs.is_ready(stream):
                theirs.decode_stream(stream)
        live.accept(samples)
        chunks: List[torch.Tensor] = []
        while live.is_ready():  # sherpa-onnx leaves out what is less than a window at the end
            chunks += encode_chunks(ours.model, [live])
        best = greedy_ctc(torch.cat(chunks)[None], [sum(map(len, chunks))])[0]
        assert theirs.tokens(stream) == [ours.units.symbols[token] for token in best]


def test_sherpa_onnx_finds_the_words_of_the_graph(streaming_yesno: Path, tmp_path: Path) -> None:
    pytest.importorskip("sherpa_onnx", reason="needs the package sherpa-onnx")
    pytest.importorskip("onnx", reason="needs the extra [export]")
    bundle = tmp_path / "bundle"
    export(open_experiment(streaming_yesno), bundle, chunk=0.32)
    code = (bundle / "README.md").read_text().split("```python\n")[2].split("```")[0]
    rows = list(recordings(streaming_yesno))[:3]
    for _, samples, rate in rows:
        soundfile.write(bundle / "audio.wav", samples, rate)
        done = subprocess.run([sys.executable, "-c", code], cwd=bundle, capture_output=True, text=True)
        words = done.stdout.split()
        assert words and set(words) <= {"YES", "NO"}, done.stderr


def test_a_model_of_whole_utterances_is_not_exported(finished_yesno: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"trained without train\.chunk"):
        export(open_experiment(finished_yesno), tmp_path / "bundle", chunk=0.32)


def test_latencies_stand_beside_whole_utterances_as_decoded(streaming_yesno: Path) -> None:
    options = ["--exp", str(streaming_yesno), "--chunk", "0.32", "--chunk", "1.28", "--method", "greedy"]
    result = CliRunner().invoke(latency.command, [*options, "--nj", "2"])
    assert result.exit_code == 0, result.output
    rows = read_json(streaming_yesno / "latency" / "test.json")["rows"]
    stored = [row for row in read_json(streaming_yesno / "results.json") if row["method"] == "greedy"]
    assert rows[0]["errors"] == next(row["errors"] for row in stored if row["set"] == "test")
    assert [row["chunk"] for row in rows] == pytest.approx([0.0, 0.32, 1.28])
    assert [row["worst"] for row in rows] == pytest.approx([0.0, 0.6275, 1.5875])  # 0.3 s ahead, and 7.5 ms
    assert [row["mean"] for row in rows] == pytest.approx([0.0, 0.4675, 0.9475])
    assert rows[0]["delay"] == 0.0 and all(abs(row["delay"]) < 0.1 and row["rtf"] > 0 for row in rows[1:])
    assert "| whole utterances |" in result.output


def test_delays_are_those_of_tokens_that_both_have() -> None:
    whole = {"a": [(5, 3), (7, 9), (5, 12)], "b": [(1, 1)]}
    live = {"a": [(5, 4), (6, 6), (7, 9), (5, 14)]}
    assert _delays(whole, live) == [1, 0, 2]
