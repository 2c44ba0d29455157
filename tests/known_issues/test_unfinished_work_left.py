"""With the earlier settings again, what a kill had left of others (NAME.next) stayed for ever."""

from tests.pipeline.toy import Toy, kill


def test_unfinished_work_of_other_settings_goes_when_the_stage_is_fresh(finished: Toy) -> None:
    before = finished.files()
    kill(finished.hold("--set", "lm.order=2"))
    assert (finished.exp / "count.next").is_dir()
    output = finished.run()
    assert "stage 2 (count): removes count.next, left by an interrupted run" in output
    assert finished.ran(output) == [] and "nothing to do" in output
    assert not list(finished.exp.glob("*.next"))
    assert finished.files() == before


def test_it_is_not_mixed_with_work_of_further_settings(finished: Toy) -> None:
    kill(finished.hold("--set", "lm.order=2"))
    assert "goes on" not in finished.run("--set", "lm.order=1")
    assert not list(finished.exp.glob("*.next"))
    (finished.exp / "held").unlink()
    kill(finished.hold("--set", "lm.order=2"))
    assert "goes on" in finished.run("--set", "lm.order=2")
