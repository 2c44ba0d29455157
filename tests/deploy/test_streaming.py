"""A model trained for streams in use: by asrkit transcribe --stream."""

import json
from pathlib import Path
from typing import Any, List

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from asrkit.cli.transcribe import command
from asrkit.errors import UserError
from asrkit.model.acoustic import greedy_ctc
from asrkit.model.streaming import StreamingModel
from asrkit.recognise.opening import open_stream_recognizer
from asrkit.recognise.stream import StreamRecognizer
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
    wave = run("--exp", streaming_yesno, "-", stdin=b"RIFF" + bytes(100))
    assert isinstance(wave.exception, UserError) and "arecord -t raw" in str(wave.exception)
    both = run("--exp", streaming_yesno, "--whole", "-")
    assert isinstance(both.exception, UserError) and "--stream with --whole" in str(both.exception)
