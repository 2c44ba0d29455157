"""asrkit evaluate decoded with a flipped or foreign model, graph or scales, scored changed hypotheses of an
earlier evaluation, and gave a FileNotFoundError where stage average had been cut short."""

from pathlib import Path
from typing import Callable, Dict

import pytest

pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.errors import UserError  # noqa: E402
from asrkit.storage.files import read_json, remove, write_text  # noqa: E402
from tests.cli.test_compare import run as compare  # noqa: E402
from tests.cli.test_evaluate import Cuts, cuts, run, trained  # noqa: E402, F401
from tests.known_issues.test_changed_experiment import finish  # noqa: E402

STAGES = ("manifests", "features", "units", "lm", "graph", "average", "decode", "score")


@pytest.fixture
def finished(trained: Path, cuts: Cuts) -> Path:  # noqa: F811
    for file in ("lm/lm.arpa", "units/words.txt"):
        write_text(trained / file, "first")
    finish(trained, STAGES)
    cuts.add("good")
    cuts.write()
    return trained


def changed(name: str) -> Callable[[Path], None]:
    return lambda exp: (exp / name).write_text((exp / name).read_text() + " ") and None


def model_of_other_scales(exp: Path) -> None:
    """Stage average was run again, and stage decode wasn't."""
    write_text(exp / "average" / "model.safetensors", "second")
    finish(exp, ["average"])


def setting(old: str, new: str) -> Callable[[Path], None]:
    def damage(exp: Path) -> None:
        text = (exp / "recipe.yaml").read_text()
        assert old in text
        write_text(exp / "recipe.yaml", text.replace(old, new, 1))

    return damage


DAMAGES: Dict[str, Callable[[Path], None]] = {
    "model": changed("average/model.safetensors"),
    "graph": changed("graph/HLG.safetensors"),
    "language model": changed("lm/lm.arpa"),
    "units": changed("units/units.txt"),
    "words": changed("units/words.txt"),
    "scales": changed("decode/scales.json"),
    "statistics": changed("manifests/statistics.json"),
    "model of other scales": model_of_other_scales,
    "no average": lambda exp: [remove(exp / of) for of in ("average", "stages/average.json")] and None,
    "average cut short": lambda exp: remove(exp / "average"),
    "a beam": setting("search_beam: 20.0", "search_beam: 9.0"),
    "features": setting("frame_shift: 0.01", "frame_shift: 0.02"),
    "normalisation": setting("normalise: []", "normalise: [lower]"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_changed_experiment_is_not_evaluated(finished: Path, cuts: Cuts, name: str) -> None:  # noqa: F811
    DAMAGES[name](finished)
    with pytest.raises(UserError, match=r"isn't as stage \d|has not finished") as error:
        run(finished, cuts.folder / "noisy.jsonl.gz")
    assert "run.sh" in error.value.todo
    assert not (finished / "evaluate").exists()


@pytest.mark.parametrize(
    "file", ["decode/noisy/hypotheses_1best.jsonl", "decode/noisy/timing_1best.json", "made_of.json"]
)
def test_a_changed_evaluation_is_done_again(finished: Path, cuts: Cuts, file: str) -> None:  # noqa: F811
    assert "decoded" in run(finished, cuts.folder / "noisy.jsonl.gz")
    assert "decoded" not in run(finished, cuts.folder / "noisy.jsonl.gz")
    folder = finished / "evaluate" / "noisy"
    results = read_json(folder / "results.json")
    (folder / file).write_text((folder / file).read_text().replace("UM", "ONE").replace("1.0", "3.0") + " ")
    with pytest.raises(UserError, match=r"isn't as asrkit evaluate left it|is damaged"):
        compare(folder, folder)
    output = run(finished, cuts.folder / "noisy.jsonl.gz")
    assert "resumed" in output or "decoded from scratch" in output
    assert read_json(folder / "results.json") == results
    assert "noisy 1best" in compare(folder, folder)
