"""After --stage or --force, "the same command resumes" was wrong, and an older training was used again."""

import signal

from tests.pipeline.toy import Toy, kill


def held_output(toy: Toy, *options: str) -> str:
    process = toy.start(*options, trouble="hold")
    while not (toy.exp / "held").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    return "".join(process.communicate(timeout=60))


def test_the_command_that_resumes_is_named(finished: Toy) -> None:
    order = ("--set", "lm.order=2")
    assert "interrupted by SIGTERM: the same command resumes" in held_output(finished, *order)
    (finished.exp / "held").unlink()
    found = held_output(finished, "--force", *order)
    assert "SIGTERM: the same command with --stage count, without --force, resumes" in found
    assert "goes on" in finished.run("--stage", "count", *order)
    (finished.exp / "held").unlink()
    order = ("--set", "lm.order=3")
    found = held_output(finished, "--stage", "collect", *order)
    assert "interrupted by SIGTERM: the same command with --stage count resumes" in found
    assert "goes on" in finished.run("--stage", "count", *order)


def test_a_training_by_the_current_code_is_preferred(finished: Toy) -> None:
    finished.replace("toykit/tell.py", "print(", "1 + 1\n    print(")
    finished.run("--stage", "tell")
    second = (finished.exp / "tell").resolve()
    finished.run("--set", "score.bootstrap_samples=99")
    finished.run()
    assert (finished.exp / "tell").resolve() == second


def test_dry_run_says_what_a_run_with_stage_does(finished: Toy) -> None:
    first = (finished.exp / "tell").resolve().name
    finished.run("--set", "score.bootstrap_samples=99")
    assert f"would use {first}" in finished.run("--stage", "tell", "--dry-run")
    assert f"uses {first}" in finished.run("--stage", "tell")


def test_a_command_with_the_interrupted_stage_resumes_it(finished: Toy) -> None:
    kill(finished.hold("--stage", "count"))
    assert "goes on" in finished.run("--stage", "count")
