"""The table of streams by chunk size in RESULTS.md."""

from asrkit.score.streams import render_streams

WHOLE = {"chunk": 0.0, "worst": 0.0, "mean": 0.0, "delay": 0.0, "delay_95": 0.0, "unit": "word", "rtf": 0.01}
CHUNKS = {**WHOLE, "chunk": 0.32, "worst": 0.57, "mean": 0.41, "delay": 0.03, "delay_95": -0.04, "rtf": 0.021}
ROWS = [
    {**WHOLE, "errors": 20, "reference": 400, "rate": 5.0, "interval": [3.0, 7.25]},
    {**CHUNKS, "errors": 24, "reference": 400, "rate": 6.0, "interval": [4.0, 8.0]},
]


def test_whole_utterances_and_each_chunk_size_have_a_line() -> None:
    text = render_streams({"set": "test", "method": "1best", "training": "8 epochs", "rows": ROWS})
    assert "1best on test by one model, 8 epochs;" in text
    assert "| whole utterances |  |  |  |  | 20/400 = 5.00 % [3.00, 7.25] | 0.010 |" in text
    assert "| 0.32 | 0.57 | 0.41 | +0.030 | -0.040 | 24/400 = 6.00 % [4.00, 8.00] | 0.021 |" in text
