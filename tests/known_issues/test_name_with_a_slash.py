"""A slash in a recipe's name hid its trainings: no run found them, `asrkit clean` removed the used one."""

from click.testing import CliRunner

from asrkit.cli import clean
from tests.pipeline.toy import Toy


def test_a_training_of_a_name_with_a_slash_is_kept_and_found_again(toy: Toy) -> None:
    toy.replace("recipes/toy/recipe.yaml", "name: toy", "name: a/../b")
    assert "tell" in toy.ran(toy.run())
    assert "tell" in toy.ran(toy.run("--set", "score.unit=character"))
    assert "stage 3 (tell): uses a-..-b-" in toy.run()
    assert [folder.name[:7] for folder in (toy.exp / "trainings").iterdir()] == ["a-..-b-"] * 2


def test_clean_removes_no_training_in_use_of_a_name_with_a_slash(toy: Toy) -> None:
    toy.replace("recipes/toy/recipe.yaml", "name: toy", "name: a/b")
    toy.run()
    (toy.exp / "tell").rename(toy.exp / "train")  # clean goes by the link of stage train
    assert "nothing to remove" in CliRunner().invoke(clean.command, [str(toy.exp), "--yes"]).output
    assert (toy.exp / "train" / "report.txt").is_file()
