"""RESULTS.md and README's table, from records alone."""

import copy
from typing import Any, Dict, List

import pytest

from asrkit.errors import UserError
from asrkit.score.records import check_result, summary_lines
from asrkit.score.report import TABLE_BEGIN, TABLE_END, render_results, render_table, replace_table

RESULT: Dict[str, Any] = {
    "set": "test",
    "role": "test",
    "method": "hlg",
    "unit": "word",
    "errors": 7,
    "reference": 773,
    "insertions": 1,
    "deletions": 2,
    "substitutions": 4,
    "rate": 100 * 7 / 773,
    "interval": [0.39, 1.55],
    "interval_by_speaker": [0.2, 1.8],
    "confidence": 0.95,
    "rtf": 0.0123,
    "utterances": 130,
    "rejected": 1,
    "lost": 2,
    "fallbacks": {"wider_beam": 1, "greedy": 0, "empty": 0},
    "settings": {"lm_scale": 0.5},
    "normalise": ["nfkc", "lower"],
    "lengths": {"1-4": [2, 300], "5-8": [5, 473]},
    "snr": {"0 to 5 dB": [6, 400], "5 to 10 dB": [1, 373]},
    "confusions": {
        "substitutions": [["FOR", "FOUR", 3], ["A", "THE", 1]],
        "deletions": [["A", "", 2]],
        "insertions": [],
    },
    "speakers": {"fvap": [5, 100], "mjgm": [2, 673]},
}
COST: Dict[str, Any] = {
    "stages": {
        "features": {"seconds": 30.0, "peak_bytes": 500_000_000},
        "train": {"seconds": 252.0, "peak_bytes": 1_250_000_000},
    },
    "parameters": 1_800_000,
    "audio_hours": 2.34,
    "cores": 2,
    "device": "cpu",
    "commit": "abc123",
    "configuration": "0f0f",
}


def results() -> List[Dict[str, Any]]:
    dev = {**copy.deepcopy(RESULT), "set": "dev", "role": "dev"}
    return [copy.deepcopy(RESULT), {**copy.deepcopy(RESULT), "unit": "character"}, dev]


def test_results_hold_rates_and_cost() -> None:
    text = render_results("an4", results(), COST)
    for expected in [
        "| test | hlg | WER 7/773 = 0.91 % [0.39, 1.55] | [0.20, 1.80] | 1 | 2 | 4 | 130 ",
        "| 130 | 1 | wider beam 1 | 0.012 |",
        "\n- hlg: lm scale 0.5.\n",
        "The interval is a 95 % bootstrap by utterance, and",
        "(score.normalise): nfkc, lower.",
        "test, hlg: by length in words: 1-4 2/300 = 0.67 %, 5-8 5/473 = 1.06 %.",
        "test, hlg: by signal-to-noise ratio: 0 to 5 dB 6/400 = 1.50 %, 5 to 10 dB 1/373 = 0.27 %.",
        "test, hlg: most frequent substitutions 3 FOR -> FOUR, 1 A -> THE; deletions 2 A.",
        "| dev (settings chosen here) | hlg |",
        "| training | 4.2 min |",
        "| all stages | 4.7 min |",
        "| parameters | 1,800,000 |",
        "| training audio | 2.34 h |",
        "| peak memory | 1.25 GB |",
        "| cores | 2 |",
        "| commit | `abc123` |",
        "| configuration | `0f0f` |",
        "| features | 30.0 s | 0.50 GB |",
        "2 speakers, median 2.65 %, highest fvap 5/100 = 5.00 %, mjgm",
        "test, hlg: 2 utterances are in no count",
    ]:
        assert expected in text


def test_missing_facts_are_said_to_be_missing() -> None:
    text = render_results("an4", [{**RESULT, "rtf": None}], {})
    for fact in ("training", "parameters", "peak memory", "commit", "configuration", "command"):
        assert f"| {fact} | not recorded |" in text
    assert "| wider beam 1 | not recorded |" in text


def test_records_kept_before_a_key_was_new_are_still_reported() -> None:
    new = ("interval_by_speaker", "normalise", "lengths", "snr", "confusions")
    old = {key: value for key, value in RESULT.items() if key not in new}
    text = render_results("an4", [old], COST)
    assert "[0.39, 1.55] | not recorded | 1 |" in text
    assert "(score.normalise): not recorded." in text
    assert "most frequent" not in text
    few = render_results("an4", [{**RESULT, "interval_by_speaker": None}], COST)
    assert "[0.39, 1.55] |  | 1 |" in few


def test_no_error_seen_is_put_into_proportion() -> None:
    clean = {**RESULT, "errors": 0, "insertions": 0, "deletions": 0, "substitutions": 0, "rate": 0.0}
    clean.update(reference=240, interval=[0.0, 0.0])
    assert "below 1.25 %" in render_results("yesno", [clean], COST)
    assert "rule of three" not in render_results("yesno", [RESULT], COST)


def test_table_holds_test_sets_in_the_unit_reported() -> None:
    rows = render_table([("an4", results(), COST)]).splitlines()[2:]
    assert rows == [
        "| [an4](recipes/an4/RESULTS.md) | test | hlg | WER 7/773 = 0.91 % [0.39, 1.55] | 0.012 "
        "| 1,800,000 | 4.2 min | 4.7 min |"
    ]


def test_only_the_table_of_the_readme_changes() -> None:
    readme = f"before\n{TABLE_BEGIN}\nold\n{TABLE_END}\nafter\n"
    assert replace_table(readme, "new") == f"before\n{TABLE_BEGIN}\nnew\n{TABLE_END}\nafter\n"
    with pytest.raises(UserError, match="no place"):
        replace_table(f"{TABLE_END} {TABLE_BEGIN}", "new")


def test_summary_lines_are_aligned_and_mark_dev() -> None:
    lines = summary_lines(results())
    assert lines[0] == ("test       hlg  WER 7/773 = 0.91 % [0.39, 1.55]  ins 1 del 2 sub 4  RTF 0.012")
    assert lines[2].startswith("dev (dev)  hlg  WER ")


def test_check_result_passes_and_fails() -> None:
    assert "7/773" in check_result(results(), "test", "hlg", max_rate=1.0, max_errors=7)
    with pytest.raises(UserError) as error:
        check_result(results(), "test", "hlg", max_rate=0.9, max_errors=6)
    assert "7/773" in error.value.found
    assert error.value.expected == "at most 0.9 % and at most 6 errors"
    with pytest.raises(UserError) as error:
        check_result(results(), "test", "greedy", max_rate=50.0)
    assert "test hlg" in error.value.expected
