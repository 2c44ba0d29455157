"""Memory that ran out inside k2's search ended or stopped the process, and with it the whole stage."""

import os
import signal
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple

import numpy as np
import pytest
import torch

k2 = pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.config import DecodeConfig, load_config  # noqa: E402
from asrkit.decode import paths, search  # noqa: E402
from asrkit.decode.methods import UtteranceDecoder  # noqa: E402
from asrkit.errors import UserError  # noqa: E402
from asrkit.pipeline import parallel  # noqa: E402
from asrkit.pipeline.parallel import at_risk, run_parallel  # noqa: E402
from tests.graph.test_compile import build, make_units  # noqa: E402

SPOKEN = ["R", "R", "<blk>", "EH", "D"]
UTTERANCES = {"u1": SPOKEN, "bad": [*SPOKEN, "<blk>"], "u3": SPOKEN}
ENDS: Dict[str, Callable[[], Any]] = {
    "abort": os.abort,
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(1),
    "hang": lambda: time.sleep(3600),
}


def log_probs_of(frames: Sequence[str]) -> torch.Tensor:
    units = make_units()
    log_probs = torch.full((len(frames), len(units)), -14.0)
    for row, name in zip(log_probs, frames):
        row[units.ids[name]] = 0.0
    return log_probs


def decode_all(folder: Path, jobs: int = 1, **settings: Any) -> Dict[str, Tuple[str, List[str]]]:
    """How each utterance was recognised, and its words, as stage decode finds them."""
    config = DecodeConfig(methods=("greedy", "1best", "nbest-oracle"), **settings)
    decoder = UtteranceDecoder(config, make_units(), build(folder))
    points = {"1best": np.array([[1.0, 0.0]]), "nbest-oracle": np.zeros((1, 0))}
    found: Dict[str, Tuple[str, List[str]]] = {}

    def work(index: int) -> Dict[str, Tuple[str, List[str]]]:
        decoded = {}
        for utterance, frames in UTTERANCES.items():
            nbest, _ = decoder.decode(f"{utterance}-{index}", log_probs_of(frames), points)["1best"]
            decoded[f"{utterance}-{index}"] = (nbest.outcome, nbest.words[0])
        return decoded

    run_parallel(work, 2, jobs, lambda _, decoded: found.update(decoded))
    return found


def end_at(monkeypatch: pytest.MonkeyPatch, end: str, factors: Sequence[float]) -> None:
    """Have the search of the utterance "bad" end its process, with the beams at some factors."""
    real = search._search

    def failing(fst: Any, log_probs: torch.Tensor, config: DecodeConfig, factor: float) -> Any:
        if len(log_probs) == len(UTTERANCES["bad"]) and factor in factors:
            ENDS[end]()
        return real(fst, log_probs, config, factor)

    monkeypatch.setattr(search, "_search", failing)
    monkeypatch.setattr(parallel, "POLL_SECONDS", 0.05)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("factors", "outcome"), [([1.0], "narrower_beam"), ([1.0, 0.5], "greedy")])
def test_an_utterance_whose_search_ends_its_process_falls_back_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
    end: str,
    factors: Sequence[float],
    outcome: str,
) -> None:
    end_at(monkeypatch, end, factors)
    found = decode_all(tmp_path, jobs=2)
    for index in range(2):
        assert found.pop(f"bad-{index}")[0] == outcome
    assert len(found) == 4
    assert set(map(str, found.values())) == {"('lattice', ['RED'])"}
    assert capfd.readouterr().out.count("decode: bad-0: the process was ended by") == len(factors)


def search_all(folder: Path) -> Dict[str, Tuple[str, List[str]]]:
    """Outcome and words of utterances that are searched together, as on a GPU."""
    decoder = UtteranceDecoder(DecodeConfig(methods=("1best",)), make_units(), build(folder))
    log_probs = {utterance: log_probs_of(frames) for utterance, frames in UTTERANCES.items()}
    found: Dict[str, Tuple[str, List[str]]] = {}

    def work(_: int) -> Dict[str, Tuple[str, List[str]]]:
        searched = decoder.search_together(log_probs, torch.device("cpu"))
        points = {"1best": np.array([[1.0, 0.0]])}
        decoded = {}
        for name, each in searched.items():
            nbest, _ = decoder.decode(name, log_probs[name], points, None, each)["1best"]
            decoded[name] = (nbest.outcome, nbest.words[0])
        return decoded

    run_parallel(work, 1, 1, lambda _, decoded: found.update(decoded))
    return found


@pytest.mark.parametrize("end", ENDS)
def test_utterances_whose_common_search_ends_the_process_are_searched_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture, end: str
) -> None:
    end_at(monkeypatch, end, [1.0])
    monkeypatch.setattr(search, "search_lattices", lambda *_: ENDS[end]())
    found = search_all(tmp_path)
    assert [found[name] for name in UTTERANCES] == [
        *(("lattice", ["RED"]), ("narrower_beam", ["RED"]), ("lattice", ["RED"]))
    ]
    output = capfd.readouterr().out
    assert output.count("decode: 3 utterances from u1 on: the process was ended by") == 1
    assert output.count("decode: bad: the process was ended by") == 1


def test_utterances_that_lack_memory_together_are_searched_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 9 bytes")

    monkeypatch.setattr(search, "search_lattices", fail)
    assert set(map(str, search_all(tmp_path).values())) == {"('lattice', ['RED'])"}
    assert "out of memory for 3 utterances at once" in capfd.readouterr().out


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't allocate memory: 7 bytes")])
@pytest.mark.parametrize(("times", "outcome"), [(1, "narrower_beam"), (2, "greedy")])
def test_what_is_made_of_a_lattice_is_made_of_a_narrower_one_where_memory_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, times: int, outcome: str
) -> None:
    real, calls = paths.list_hypotheses, [0]

    def failing(*arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] <= times:
            raise error
        return real(*arguments)

    monkeypatch.setattr(paths, "list_hypotheses", failing)
    outcomes = [found[0] for found in decode_all(tmp_path).values()]
    assert outcomes == 2 * [outcome, "lattice", "lattice"] or outcomes == [outcome, *["lattice"] * 5]


def test_other_errors_and_ends_are_no_fallbacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: Any) -> Any:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(paths, "list_hypotheses", wrong)
    with pytest.raises(RuntimeError, match="shapes differ"):
        decode_all(tmp_path)
    with pytest.raises(UserError, match=r"ended by signal SIGKILL\n"):
        run_parallel(lambda _: ENDS["kill"](), 1, 1, lambda *_: None)


def test_an_item_at_which_every_process_ends_is_named() -> None:
    def work(_: int) -> None:
        with at_risk("decode: u1"):
            os.abort()

    with pytest.raises(UserError, match="ended by signal SIGABRT at decode: u1"):
        run_parallel(work, 1, 1, lambda *_: None)


def test_a_process_that_computes_for_long_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "POLL_SECONDS", 0.05)

    def work(_: int) -> int:
        with at_risk("busy") as ends:
            until = time.process_time() + 0.5
            while time.process_time() < until:
                pass
        time.sleep(0.5)  # at nothing
        return ends

    found: List[int] = []
    run_parallel(work, 1, 1, lambda _, ends: found.append(ends))
    assert found == [0]


def test_narrower_beams_leave_states_to_the_search(tmp_path: Path) -> None:
    fst = search.prepare_graph(build(tmp_path))
    config = DecodeConfig(min_active_states=30, max_active_states=31)
    assert search.search_lattice(fst, "u1", log_probs_of(SPOKEN), config, failures=1)[0] == "narrower_beam"
    config = DecodeConfig(min_active_states=10**12, max_active_states=10**13, retry_beam_factor=1e300)
    assert search.search_lattice(fst, "u1", log_probs_of(SPOKEN), config)[0] == "lattice"


@pytest.mark.parametrize(("least", "most"), [(30, 30), (2000, 1000), (30, 1)])
def test_fewer_active_states_than_the_least_are_refused(tmp_path: Path, least: int, most: int) -> None:
    (tmp_path / "recipe.yaml").write_text("name: x\ncorpus: {module: tsv}\n")
    assignments = [f"decode.min_active_states={least}", f"decode.max_active_states={most}"]
    with pytest.raises(UserError, match=f"max_active_states is {most}, and .*min_active_states {least}"):
        load_config(tmp_path / "recipe.yaml", None, assignments)
