"""The server, by a real client: OpenAI's own package, and raw requests that are wrong."""

import contextlib
import io
import json
import socket
import threading
import time
from typing import Any, Callable, Iterator, List, Tuple

import pytest

pytest.importorskip("starlette", reason="needs the extra [serve]")
uvicorn = pytest.importorskip("uvicorn", reason="needs the extra [serve]")

from asrkit.deploy.server import ServerOptions, make_app  # noqa: E402
from asrkit.deploy.workers import Request, Workers  # noqa: E402
from asrkit.errors import UserError  # noqa: E402
from asrkit.recognise.transcript import Segment, Word  # noqa: E402


def spell(request: Request) -> Iterator[Tuple[str, Any]]:
    """A recogniser whose audio is text: each word lasts half a second."""
    text = request.audio.decode("utf-8", "replace")
    if text == "die":
        raise SystemExit
    if text.startswith("wait"):
        time.sleep(float(text.split()[1]))
    if text == "noise":
        raise UserError("not readable audio", expected="audio")
    words = [Word(word, index / 2, 0.5, 0.9) for index, word in enumerate(text.split())]
    yield "duration", len(words) / 2
    for word in words:
        yield "segment", Segment(word.start, word.end, (word,))
    for hotword in request.hotwords:
        yield "segment", Segment(0, 1, (Word(hotword, 0, 1, 1.0),))


def open_spelling() -> Callable[[Request], Iterator[Tuple[str, Any]]]:
    return spell


@contextlib.contextmanager
def serving(
    options: ServerOptions, opener: Any = open_spelling, streams: Any = None, **limits: Any
) -> Iterator[str]:
    workers = Workers(opener, **{"count": 1, "waiting": 2, "time_limit": 3.0, **limits})
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(make_app(workers, options, streams), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        workers.end()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(ServerOptions(model="spelling", upload_bytes=1 << 20)) as address:
        yield address


def post(address: str, audio: bytes, **fields: Any) -> Any:
    httpx = pytest.importorskip("httpx")
    data = {key.replace("__", "[]"): value for key, value in fields.items()}
    upload = {"file": ("a.wav", audio)}
    return httpx.post(f"{address}/v1/audio/transcriptions", files=upload, data=data, timeout=20)


def client(address: str) -> Any:
    openai = pytest.importorskip("openai", reason="needs the package openai")
    return openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)


def named(text: str) -> Tuple[str, io.BytesIO]:
    return "a.wav", io.BytesIO(text.encode())


def test_openai_client_gets_text_words_and_models(address: str) -> None:
    openai = client(address)
    assert [model.id for model in openai.models.list()] == ["spelling"]
    plain = openai.audio.transcriptions.create(model="spelling", file=named("one two"))
    assert plain.text == "one two"
    verbose = openai.audio.transcriptions.create(
        model="spelling",
        file=named("one two"),
        response_format="verbose_json",
        timestamp_granularities=["word"],
    )
    assert verbose.duration == 1.0
    times = [(word.word, word.start, word.end) for word in verbose.words]
    assert times == [("one", 0, 0.5), ("two", 0.5, 1.0)]
    assert [segment.text for segment in verbose.segments] == ["one", "two"]


def test_openai_client_gets_subtitles_and_a_stream(address: str) -> None:
    openai = client(address)
    subtitles = openai.audio.transcriptions.create(model="x", file=named("one"), response_format="srt")
    assert subtitles == "1\n00:00:00,000 --> 00:00:00,500\none\n\n"
    events = list(openai.audio.transcriptions.create(model="x", file=named("one two"), stream=True))
    assert [event.delta for event in events[:-1]] == ["one", " two"]
    assert (events[-1].type, events[-1].text) == ("transcript.text.done", "one two")


def test_openai_client_gets_errors_in_its_form(address: str) -> None:
    openai = pytest.importorskip("openai")
    with pytest.raises(openai.BadRequestError, match="not readable audio"):
        client(address).audio.transcriptions.create(model="x", file=named("noise"))


def test_hotwords_arrive(address: str) -> None:
    assert post(address, b"one", keywords__=["ZEBRA", "QUAGGA"]).json() == {"text": "one ZEBRA QUAGGA"}
    many = [f"WORD{number}" for number in range(300)]
    assert post(address, b"one", keywords__=many).json() == {"text": " ".join(["one", *many])}


@pytest.mark.parametrize(
    ("status", "message", "send"),
    [
        (400, "the field file is missing", lambda httpx, url: httpx.post(url, data={"model": "x"})),
        (400, "the field file is missing", lambda httpx, url: httpx.post(url)),
        (
            400,
            "boundary",
            lambda httpx, url: httpx.post(url, content=b"x", headers={"content-type": "multipart/form-data"}),
        ),
        (413, "larger than 1 MB", lambda httpx, url: httpx.post(url, files={"file": b"x" * (2 << 20)})),
        (405, "Method Not Allowed", lambda httpx, url: httpx.get(url)),
        (404, "Not Found", lambda httpx, url: httpx.get(url + "/../../../etc/passwd")),
        (
            400,
            "response_format is pdf",
            lambda httpx, url: httpx.post(url, files={"file": b"x"}, data={"response_format": "pdf"}),
        ),
    ],
)
def test_wrong_requests_get_words(address: str, status: int, message: str, send: Any) -> None:
    httpx = pytest.importorskip("httpx")
    answer = send(httpx, f"{address}/v1/audio/transcriptions")
    assert answer.status_code == status
    assert message in answer.json()["error"]["message"]


def test_a_body_without_a_length_is_limited_too(address: str) -> None:
    httpx = pytest.importorskip("httpx")

    def chunks() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(40):
            yield b"x" * (1 << 16)

    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = httpx.post(f"{address}/v1/audio/transcriptions", content=chunks(), headers=headers)
    assert answer.status_code == 413


def test_a_worker_that_dies_is_replaced(address: str) -> None:
    assert post(address, b"die").status_code == 500
    assert post(address, b"one").json() == {"text": "one"}


def test_a_recording_that_takes_too_long_is_given_up(address: str) -> None:
    answer = post(address, b"wait 60")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "worker_failed")
    assert post(address, b"one").json() == {"text": "one"}


def test_a_full_queue_is_refused_and_a_client_that_leaves_frees_its_place(address: str) -> None:
    httpx = pytest.importorskip("httpx")
    answers: List[int] = []

    def leave() -> None:
        with contextlib.suppress(httpx.ReadTimeout):
            url = f"{address}/v1/audio/transcriptions"
            httpx.post(url, files={"file": ("a", b"wait 1.5")}, timeout=0.5)

    leaving = [threading.Thread(target=leave) for _ in range(3)]
    for thread in leaving:
        thread.start()
    time.sleep(0.3)
    answer = post(address, b"one")
    answers.append(answer.status_code)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    for thread in leaving:
        thread.join()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and httpx.get(f"{address}/health").json()["pending"]:
        time.sleep(0.05)
    assert post(address, b"one").json() == {"text": "one"}


def test_an_api_key_is_asked_for() -> None:
    httpx = pytest.importorskip("httpx")
    with serving(ServerOptions(api_key="secret")) as address:
        assert httpx.get(f"{address}/v1/models").status_code == 401
        assert httpx.get(f"{address}/health").status_code == 200
        allowed = httpx.get(f"{address}/v1/models", headers={"authorization": "Bearer secret"})
        assert allowed.status_code == 200


def test_page_and_metrics(address: str) -> None:
    httpx = pytest.importorskip("httpx")
    page = httpx.get(address)
    assert page.headers["content-type"].startswith("text/html")
    assert "https://" not in page.text  # nothing is loaded from elsewhere
    assert "http://" not in page.text
    assert httpx.get(f"{address}/nothing").status_code == 404
    metrics = httpx.get(f"{address}/metrics").text
    assert 'asrkit_requests_total{status="200"}' in metrics
    assert 'asrkit_requests_total{status="404"}' in metrics
    assert json.dumps(metrics)


def open_nothing() -> Callable[[Request], Iterator[Tuple[str, Any]]]:
    raise UserError("no model there", "a bundle", "/nowhere", "check the name")


def test_a_model_that_cannot_be_opened_is_reported_before_serving() -> None:
    with pytest.raises(UserError, match="no model there") as error:
        Workers(open_nothing, count=1, waiting=1, time_limit=20)
    assert error.value.todo == "check the name"
