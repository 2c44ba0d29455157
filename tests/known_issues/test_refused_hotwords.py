"""With stream=true, refused hotwords got status 200, and no refusal named the field or what to do."""

import json
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest

pytest.importorskip("starlette", reason="needs the extra [serve]")
pytest.importorskip("httpx", reason="needs the package httpx")

from starlette.testclient import TestClient

from asrkit.config.symbols import BLANK_SYMBOL
from asrkit.deploy import serving
from asrkit.deploy.server import ServerOptions, make_app
from asrkit.deploy.workers import Request, _work
from asrkit.errors import AudioProblem, UserError
from asrkit.recognise import opening
from asrkit.recognise.transcript import Segment, Word
from asrkit.text.lexicon import Pronunciation
from asrkit.text.units import Units


class Recogniser:
    """Recognises the word CAT, the only one it knows, in all audio."""

    units = Units([BLANK_SYMBOL, "A"], [Pronunciation("CAT", ("A",))])

    def segments(self, *_: Any, **options: Any) -> Iterator[Segment]:
        yield Segment(0.0, 0.5, (Word("CAT", 0.0, 0.5, 0.9),))
        if "CAT" in options["hotwords"]:
            raise UserError("a package is missing", "silero-vad", "transcribe", "pip install it")


class Connection:
    """A worker's end of a pipe, with one request."""

    def __init__(self, request: Request) -> None:
        self.sent: List[Tuple[str, Any]] = []
        self._requests = [request]
        self.send = self.sent.append

    def poll(self) -> bool:
        return False

    def recv(self) -> Request:
        if not self._requests:
            raise EOFError
        return self._requests.pop()


class Workers:
    """Runs the code of a worker in this process."""

    pending, count = 0, 1

    def __init__(self, recognise: Callable[[Request], Any]) -> None:
        self._recognise = recognise

    async def recognise(self, request: Request) -> Any:
        connection = Connection(request)
        _work(connection, lambda: self._recognise)  # type: ignore[arg-type]
        for kind, content in connection.sent[1:]:
            if kind == "refused":
                raise UserError(*content)
            if kind != "done":
                yield kind, content


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Any:
    def read(audio: bytes, longest: float) -> Tuple[Any, int]:
        if audio != b"x":
            raise AudioProblem("not readable audio")
        return [0.0], 1

    monkeypatch.setattr(opening, "open_recognizer", lambda *_: Recogniser())
    monkeypatch.setattr(serving, "read_recording", read)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("torch.set_num_threads", lambda _: None)
    recognise: Any = serving.open_recognise(None, None)  # type: ignore[arg-type]
    return TestClient(make_app(Workers(recognise), ServerOptions()))  # type: ignore[arg-type]


def post(client: Any, audio: bytes = b"x", **data: Any) -> Any:
    return client.post("/v1/audio/transcriptions", files={"file": ("a.wav", audio)}, data=data)


@pytest.mark.parametrize("stream", [{}, {"stream": "true"}])
def test_they_are_refused_with_a_status_and_their_field(client: Any, stream: Dict[str, str]) -> None:
    answer = post(client, **{"keywords[]": "ZEBRA"}, **stream)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", "keywords")
    for part in ("no tokens for ZEBRA", "expected: words of its lexicon", "to do: leave them out"):
        assert part in error["message"]


@pytest.mark.parametrize("stream", [{}, {"stream": "true"}])
def test_a_refusal_of_audio_names_what_to_do(client: Any, stream: Dict[str, str]) -> None:
    answer = post(client, b"noise", **stream)
    error = answer.json()["error"]
    assert answer.status_code == 400 and error["param"] == "file"
    for part in ("not readable audio", "where: the uploaded file", "to do: convert it"):
        assert part in error["message"]


def test_a_later_refusal_in_a_stream_is_the_same_error(client: Any) -> None:
    answer = post(client, **{"keywords[]": "CAT", "stream": "true"})
    events = [json.loads(line[len("data: ") :]) for line in answer.text.split("\n") if line]
    assert [event["type"] for event in events] == ["transcript.text.delta", "error"]
    assert events[1]["error"] == post(client, **{"keywords[]": "CAT"}).json()["error"]
    assert events[1]["error"]["type"] == "invalid_request_error"
