"""After the project was moved, the corpus in RECIPE/download was downloaded again to the old path."""

from pathlib import Path

from tests.pipeline.toy import Toy


def test_the_recipes_own_corpus_is_used_where_it_is_now(toy: Toy, tmp_path: Path) -> None:
    toy.run()
    moved = Toy.__new__(Toy)
    moved.__dict__.update(toy.__dict__)
    toy.recipe.parent.rename(tmp_path / "projects")
    moved.replace("drive.py", "recipes/toy", "projects/toy")
    output = moved.run()
    assert f"corpus: {toy.corpus}, used by the last run, is missing; " in output
    assert "nothing to do" in output and not toy.recipe.exists()
