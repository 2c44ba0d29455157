"""kenlm's programs: missing, failing and working."""

import sys
from pathlib import Path

import pytest

from asrkit.errors import UserError
from asrkit.lm.arpa import read_arpa, write_arpa
from asrkit.lm.kenlm import estimate_with_lmplz, find_program, load_kenlm, write_binary
from asrkit.lm.kneser_ney import estimate
from asrkit.lm.perplexity import perplexity

needs_lmplz = pytest.mark.skipif(find_program("lmplz") is None, reason="lmplz isn't built: make lmplz")


def pretend_programs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", str(folder))


def write_program(file: Path, script: str) -> None:
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_missing_lmplz_is_an_error_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_programs(tmp_path, monkeypatch)
    with pytest.raises(UserError, match="lmplz isn't built") as refusal:
        estimate_with_lmplz(["a"], 2, tmp_path / "lm.arpa")
    assert "make lmplz" in refusal.value.todo


def test_a_failure_leaves_no_file_and_reports_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_program(tmp_path / "lmplz", "echo out of memory >&2\nexit 3")
    pretend_programs(tmp_path, monkeypatch)
    with pytest.raises(UserError, match="status 3: out of memory"):
        estimate_with_lmplz(["a"], 2, tmp_path / "lm" / "lm.arpa")
    assert list((tmp_path / "lm").iterdir()) == []


def test_min_counts_become_the_prune_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_program(tmp_path / "lmplz", 'echo "$@" >&2\nexit 1')
    pretend_programs(tmp_path, monkeypatch)
    with pytest.raises(UserError, match="--prune 0 0 1 --text"):
        estimate_with_lmplz(["a"], 3, tmp_path / "lm" / "lm.arpa", min_counts=[1, 1, 2])


@needs_lmplz
def test_refuses_what_the_builtin_refuses(tmp_path: Path) -> None:
    file = tmp_path / "lm" / "lm.arpa"
    with pytest.raises(UserError, match="line 1: </s>"):
        estimate_with_lmplz(["a </s>"], 2, file)
    with pytest.raises(UserError, match="no words"):
        estimate_with_lmplz([""], 2, file)
    with pytest.raises(UserError, match="no sentence is long enough for 4-grams"):
        estimate_with_lmplz(["go"], 4, file)
    assert list(file.parent.iterdir()) == []


@needs_lmplz
def test_writes_the_model_and_returns_fallback_messages(tmp_path: Path) -> None:
    fallbacks = estimate_with_lmplz(["yes no", "no"], 2, tmp_path / "lm.arpa")
    assert len(fallbacks) == 2
    assert read_arpa(tmp_path / "lm.arpa").counts == [5, 4]
    assert [file.name for file in tmp_path.iterdir()] == ["lm.arpa"]


def test_no_binary_file_without_build_binary_and_failures_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_programs(tmp_path, monkeypatch)
    arpa = tmp_path / "lm" / "lm.arpa"
    write_arpa(estimate(["yes no", "no"], 2).model, arpa)
    assert write_binary(arpa) is None
    write_program(tmp_path / "build_binary", "echo no space >&2\nexit 1")
    with pytest.raises(UserError, match="status 1: no space"):
        write_binary(arpa)
    assert [file.name for file in arpa.parent.iterdir()] == ["lm.arpa"]


@pytest.mark.skipif(find_program("build_binary") is None, reason="build_binary isn't built: make lmplz")
def test_the_binary_file_is_the_same_model_and_used_only_for_its_arpa_file(tmp_path: Path) -> None:
    pytest.importorskip("kenlm", reason="kenlm isn't installed")
    arpa, text = tmp_path / "lm.arpa", ["yes no yes", "no"]
    write_arpa(estimate(text, 3).model, arpa)
    expected = perplexity(arpa, [*text, "maybe no"])
    assert write_binary(arpa) == tmp_path / "lm.binary"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["lm.arpa", "lm.binary"]
    assert perplexity(arpa, [*text, "maybe no"]) == expected
    assert load_kenlm(arpa).path.decode().endswith("lm.binary")
    write_arpa(estimate(text, 2).model, arpa)
    assert load_kenlm(arpa).order == 2
