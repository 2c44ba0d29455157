"""Studies: the table and the picture of variants side by side."""

import sys
from pathlib import Path
from typing import Any, Dict, List

from asrkit.pipeline.experiment import REPOSITORY
from asrkit.score.study import render_study, spread_lines

sys.path.insert(0, str(REPOSITORY / "benchmarks"))

from scaling_study import draw_study


def make_row(variant: str, errors: int) -> Dict[str, Any]:
    result = {"set": "test", "role": "test", "method": "1best", "errors": errors, "reference": 200}
    return {
        "variant": variant,
        "settings": {"train": {"seed": errors}},
        "results": [{**result, "interval": [1.0, 9.5]}],
        "training_seconds": 90.0,
        "parameters": 1_234_567,
        "multiply_adds": 81_500_000,
    }


ROWS: List[Dict[str, Any]] = [make_row("seed 1", 8), make_row("seed 2", 10), make_row("seed 3", 12)]


def test_each_variant_has_a_line_with_its_size_time_and_errors() -> None:
    text = render_study("seeds", ROWS, "records/study_seeds.png")
    assert "| seed 2 | 1,234,567 | 81.5 M | 1.5 min | 10/200 = 5.00 % [1.00, 9.50] |" in text
    assert "![seeds](records/study_seeds.png)" in text


def test_of_one_variant_each_method_has_a_line() -> None:
    row = make_row("all methods", 8)
    of_1best = {**row["results"][0], "rtf": 0.0051}
    row["results"] = [
        {**of_1best, "set": name, "method": method}
        for name in ("test", "dev")
        for method in ("greedy", "1best")
    ]
    text = render_study("methods", [row], "records/study_methods.png")
    assert "| method | test | RTF, test | dev | RTF, dev |" in text
    cells = "8/200 = 4.00 % [1.00, 9.50] | 0.0051"
    assert f"| greedy | {cells} | {cells} |\n| 1best | {cells} | {cells} |" in text
    assert "1,234,567 parameters, 1.5 min of training" in text
    assert ".png" not in text


def test_mean_and_spread_are_those_of_the_rates() -> None:
    (line,) = spread_lines(ROWS)
    assert line == ("test, 1best: mean 5.00 %, standard deviation 1.00, from 4.00 to 6.00, over 3 variants.")
    assert spread_lines(ROWS[:1]) == []
    assert spread_lines([*ROWS, {**make_row("wide", 8), "settings": {"model": {"front": "resnet50"}}}]) == []


def test_the_picture_is_a_png(tmp_path: Path) -> None:
    draw_study(ROWS, tmp_path / "study.png")
    assert (tmp_path / "study.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert [file.name for file in tmp_path.iterdir()] == ["study.png"]


def test_the_speed_of_models_has_a_column_if_it_was_measured() -> None:
    measured = {**make_row("keep 0.5", 9), "acoustic_rtf": 0.0031}
    text = render_study("pruning", [*ROWS, measured], "picture.png")
    assert "| training | RTF of the model, one thread |" in text
    assert "| keep 0.5 | 1,234,567 | 81.5 M | 1.5 min | 0.0031 | 9/200" in text
    assert "| seed 1 | 1,234,567 | 81.5 M | 1.5 min |  | 8/200" in text
