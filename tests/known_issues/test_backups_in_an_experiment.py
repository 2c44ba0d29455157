"""A run removed files that users kept in EXP/NAME.old, or in another folder that was given as --exp."""

from pathlib import Path

import pytest

from tests.pipeline.toy import Toy


def test_backups_are_kept(finished: Toy) -> None:
    for name in ("count.old", "count.next", "tell.old"):
        (finished.exp / name).mkdir()
        (finished.exp / name / "counts.json").write_text("my own")
    (finished.exp / "collect.old").write_text("my own")
    assert "nothing to do" in finished.run()
    finished.run("--set", "lm.order=2")
    for name in (
        "count.old/counts.json",
        "count.next.kept-1/counts.json",
        "tell.old/counts.json",
        "collect.old",
    ):
        assert (finished.exp / name).read_text() == "my own"


@pytest.mark.parametrize("name", ["count/thesis.txt", "recipe.yaml"])
def test_a_folder_that_is_not_an_experiment_is_refused(toy: Toy, tmp_path: Path, name: str) -> None:
    other = tmp_path / "project"
    (other / name).parent.mkdir(parents=True)
    (other / name).write_text("years of work")
    output = toy.run("--exp", str(other), status=1)
    found = (
        f"{other} is not an experiment, and contains {name.partition('/')[0]}, which stages would overwrite"
    )
    assert found in output
    assert [str(file.relative_to(other)) for file in other.rglob("*") if file.is_file()] == [name]


def test_a_new_folder_may_contain_other_files_and_links(toy: Toy, tmp_path: Path) -> None:
    toy.exp.mkdir()
    (toy.exp / "notes.txt").write_text("seed 3")
    (toy.exp / "logs").mkdir()
    (toy.exp / "logs" / "17.out").write_text("output of a cluster job")
    (tmp_path / "large").mkdir()
    (toy.exp / "count").symlink_to(tmp_path / "large")
    toy.run()
    assert (tmp_path / "large/counts.json").exists() and (toy.exp / "notes.txt").exists()


def test_outputs_without_their_record_are_kept(finished: Toy) -> None:
    (finished.exp / "stages/count.json").write_text("{")
    before = (finished.exp / "count/counts.json").read_bytes()
    output = finished.run()
    assert "stage 2 (count): count, which has no record, is kept as count.kept-1" in output
    assert (finished.exp / "count.kept-1/counts.json").read_bytes() == before
