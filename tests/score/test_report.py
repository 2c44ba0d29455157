"""RESULTS.md and README's table, from records alone."""

import copy
from typing import Any, Dict, List

import pytest

from asrkit.errors import UserError
from asrkit.score.records import summary_lines
from asrkit.score.report import (
    TABLE_BEGIN,
    TABLE_END,
    chosen_method,
    render_results,
    render_table,
    replace_table,
)

RESULT: Dict[str, Any] = {
    "set": "test",
    "role": "test",
    "method": "1best",
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
    "calibration": {"words": 773, "expected_error": 0.0211, "bins": []},
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


def test_headline_table_has_one_row_per_test_set_and_method_in_one_unit() -> None:
    oracle = {**copy.deepcopy(RESULT), "method": "nbest-oracle", "role": "bound"}
    text = render_results("an4", [*results(), oracle], COST)
    headline = text[: text.index("## ")]
    assert [line for line in headline.splitlines() if line.startswith("|")] == [
        "| set | method | WER [95 % interval] | ins | del | sub | RTF |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| test | **1best** | 7/773 = 0.91 % [0.39, 1.55] | 1 | 2 | 4 | 0.012 |",
        "| test | nbest-oracle (bound) | 7/773 = 0.91 % [0.39, 1.55] | 1 | 2 | 4 | 0.012 |",
        "| training | parameters | training audio, all speeds | hardware | all stages |",
        "| --- | --- | --- | --- | --- |",
        "| 4.2 min | 1,800,000 | 2.34 h | cpu, 2 cores | 4.7 min |",
    ]


def test_details_follow_in_tables_of_their_own() -> None:
    text = render_results("an4", results(), COST)
    details = text[text.index("## ") :]
    for title, heads, row in [
        (
            "Dev, where scales and beams were chosen",
            "set | method | WER [95",
            "| dev | **1best** | 7/773 = 0.91 %",
        ),
        ("Other units", "set | method | CER |", "| test | 1best | 7/773 = 0.91 % [0.39, 1.55] |"),
        (
            "Speakers",
            "set | method | interval by speaker |",
            "| test | 1best | [0.20, 1.80] | 2 | 2.65 % | fvap 5/100 =",
        ),
        (
            "WER by reference length in words",
            "set | method | 1-4 | 5-8 |",
            "| test | 1best | 2/300 = 0.67 % |",
        ),
        ("WER by signal-to-noise ratio", "| 0 to 5 dB | 5 to 10 dB |", "| 6/400 = 1.50 % | 1/373 = 0.27 % |"),
        ("Most frequent errors", "| substitutions | del", "| 3 FOR -> FOUR, 1 A -> THE | 2 A |  |"),
        (
            "Calibration of word confidences",
            "| expected calibration error |",
            "| test | 1best | 773 | 0.021 |",
        ),
        (
            "Utterances",
            "utterances | not decoded | excluded",
            "| test | 1best | 130 | 1 | 2 | wider beam 1 |",
        ),
        ("Settings of the methods", "| setting | 1best |", "| lm scale | 0.5 |"),
        ("Provenance", "| fact | value |", "| commit | `abc123` |"),
        ("Cost per stage", "| stage | time | peak memory |", "| features | 30.0 s | 0.50 GB |"),
    ]:
        assert details.startswith(f"## {title}\n\n|"), title
        section, found, rest = details[3:].partition("\n## ")
        assert heads in section and row in section, section
        details = found[1:] + rest
    assert "(score.normalise): nfkc, lower." in text
    assert "test, 1best: 2 utterances are excluded from scoring" in text


def test_methods_with_equal_cells_share_a_row() -> None:
    other = {**copy.deepcopy(RESULT), "method": "nbest-rescoring"}
    text = render_results("an4", [*results(), other], COST)
    assert "| test | 1best, nbest-rescoring | 130 | 1 | 2 | wider beam 1 |" in text


def test_missing_costs_are_not_recorded() -> None:
    text = render_results("an4", [{**RESULT, "rtf": None}], {})
    assert text.count("not recorded") == 11
    assert "| 4 | not recorded |" in text


def test_the_method_is_chosen_on_dev_alone() -> None:
    def row(method: str, role: str, rate: float, rtf: float) -> Dict[str, Any]:
        return {**RESULT, "set": role, "role": role, "method": method, "rate": rate, "rtf": rtf}

    dev = [row("greedy", "dev", 5.0, 0.1), row("1best", "dev", 5.0, 0.4), row("nbest", "dev", 5.0, 0.3)]
    assert chosen_method([row("1best", "test", 1.0, 0.1), *dev]) == "nbest"
    assert chosen_method([*dev, {**row("1best", "dev", 4.9, 0.9), "set": "dev2"}]) == "1best"
    assert chosen_method([row("greedy", "test", 1.0, 0.1), row("oracle", "bound", 0.1, 0.1)]) == "greedy"


def test_no_errors_give_the_rule_of_three() -> None:
    clean = {**RESULT, "errors": 0, "insertions": 0, "deletions": 0, "substitutions": 0, "rate": 0.0}
    clean.update(reference=240, interval=[0.0, 0.0])
    assert "below 1.25 %" in render_results("yesno", [clean], COST)
    assert "rule of three" not in render_results("yesno", [RESULT], COST)


def test_table_of_the_readme_has_a_row_per_recipe() -> None:
    rows = render_table([("an4", results(), COST)]).splitlines()[2:]
    assert rows == [
        "| [an4](recipes/an4/RESULTS.md) | 1best | test: WER 7/773 = 0.91 % [0.39, 1.55] "
        "| 4.2 min | 1,800,000 | cpu, 2 cores |"
    ]


def test_only_the_table_of_the_readme_changes() -> None:
    readme = f"before\n{TABLE_BEGIN}\nold\n{TABLE_END}\nafter\n"
    assert replace_table(readme, "new") == f"before\n{TABLE_BEGIN}\nnew\n{TABLE_END}\nafter\n"
    with pytest.raises(UserError, match="no place"):
        replace_table(f"{TABLE_END} {TABLE_BEGIN}", "new")


def test_summary_lines_are_aligned_and_mark_dev() -> None:
    lines = summary_lines(results())
    assert lines[0] == ("test       1best  WER 7/773 = 0.91 % [0.39, 1.55]  ins 1 del 2 sub 4  RTF 0.012")
    assert lines[2].startswith("dev (dev)  1best  WER ")


def test_of_many_groups_of_speakers_those_with_the_most_words_are_listed() -> None:
    groups = {f"accent {number:03d}": [1, 100 + number % 50, 0.0, 2.0] for number in range(200)}
    text = render_results("toy", [{**RESULT, "groups": groups}], COST)
    listed = [line for line in text.splitlines() if "| accent " in line]
    assert len(listed) == 20
    assert all(int(line.split("accent ")[1][:3]) % 50 >= 45 for line in listed)
    assert "At most 20 groups" in text
