"""Tables and pictures of robustness, and the settings of its study."""

import sys
from pathlib import Path

import yaml

from asrkit.config import load_config
from asrkit.score.robustness import ConditionErrors, Measurement, System, render_robustness, write_measurement
from tests.recipes.miniature import PROJECT

sys.path.insert(0, str(PROJECT / "benchmarks"))
from robustness_study import beside_earlier, settings_of

AN4 = PROJECT / "recipes" / "an4"


def system(name: str, errors: int) -> System:
    noisy = [(kind, snr) for kind in ("rain", "sea") for snr in (10.0, 5.0)]
    rows = [ConditionErrors("clean", "clean", None, errors, 100, (1.0, 5.0))]
    rows += [ConditionErrors(f"{k} {snr:g} dB", k, snr, 4 * errors, 100, (8.0, 9.0)) for k, snr in noisy]
    rows += [ConditionErrors("hum 0 dB", "hum", 0.0, errors, 100, (1.0, 5.0))]
    return System(name, {}, rows)


def test_a_table_of_one_system_has_ratios_and_sums_of_like_noises(tmp_path: Path) -> None:
    measured = Measurement("dev", "1best", "word", 1, [system("an4", 3)])
    write_measurement(tmp_path, "dev", measured)
    text = (tmp_path / "dev.md").read_text()
    assert "| clean | 3/100 | 3.00 % [1.00, 5.00] | 1.0 | 0 |" in text
    assert "| rain to sea 5 dB | 24/200 | 12.00 % | 4.0 | 0 |" in text
    assert text.count(" to ") == 2 and "![robustness of dev](dev.svg)" in text


def test_systems_stand_side_by_side(tmp_path: Path) -> None:
    measured = Measurement("dev", "1best", "word", 1, [system("none", 5), system("multi-condition", 2)])
    text = render_robustness(measured, "study.svg")
    assert "| condition | none | multi-condition |" in text
    assert "| rain to sea 10 dB | 40/200 = 20.00 % | 16/200 = 8.00 % |" in text
    write_measurement(tmp_path, "study", measured)
    assert (tmp_path / "study.svg").exists()


def test_each_variant_of_the_study_is_a_valid_recipe(tmp_path: Path) -> None:
    study = yaml.safe_load((AN4 / "studies" / "robustness.yaml").read_text())
    assert set(study["at_test"]) <= set(study["variants"])
    augmented = {}
    for name, variant in study["variants"].items():
        assert variant.get("after", "none") in study["variants"]
        settings = settings_of(AN4, study["common"], variant, tmp_path, tmp_path)
        (tmp_path / "overlay.yaml").write_text(yaml.safe_dump(settings))
        config = load_config(AN4 / "recipe.yaml", tmp_path / "overlay.yaml")
        augmented[name] = len(config.augment)
    assert augmented["none"] == 3 and augmented["multi-condition"] == 12


def test_variants_that_are_not_measured_again_keep_their_columns(tmp_path: Path) -> None:
    before = Measurement("dev", "1best", "word", 1, [system("b, denoised at test", 2), system("a", 1)])
    write_measurement(tmp_path, "dev_study", before)
    beside = beside_earlier(tmp_path / "dev_study.json", [system("c", 3), system("a", 4)], ["a", "b", "c"])
    assert [(each.name, each.rows[0].errors) for each in beside] == [
        ("a", 4),
        ("b, denoised at test", 2),
        ("c", 3),
    ]
