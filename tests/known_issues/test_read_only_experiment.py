"""An experiment on a read-only disk refused a run that had nothing to do."""

from tests.pipeline.toy import Toy


def forbid_writing(toy: Toy) -> None:
    """Make .lock what can't be opened, by any user."""
    (toy.exp / ".lock").unlink()
    (toy.exp / ".lock").symlink_to(toy.exp / "recipe.yaml")


def test_a_run_with_nothing_to_do_needs_no_writable_folder(finished: Toy) -> None:
    forbid_writing(finished)
    assert finished.run() == "nothing to do: all 4 stages are fresh\n"
    assert finished.run("--stop-stage", "1") == "fresh, so not run: stages 0 fetch, 1 collect\n"


def test_a_run_with_something_to_do_is_refused(finished: Toy) -> None:
    forbid_writing(finished)
    for options in (["--stage", "2"], ["--force"], ["--set", "lm.order=2"]):
        output = finished.run(*options, status=1)
        assert f"can't write {finished.exp}/.lock" in output and "Traceback" not in output
