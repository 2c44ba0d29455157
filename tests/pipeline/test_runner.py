"""Which stages run, in what order, and what is left after a failure or a kill."""

import json
import os
import signal

import pytest

from asrkit.pipeline.runner import Request, must_run
from tests.pipeline.toy import STAGES, Toy, is_running, kill, wait_until

ALL = ["fetch", "collect", "count", "tell"]


def test_a_first_run_runs_all_stages_in_order_with_reasons(toy: Toy) -> None:
    output = toy.run()
    assert toy.ran(output) == ALL
    assert output.index("stage 1 (collect): never run") < output.index("stage 2 (count): never run")
    assert json.loads((toy.exp / "count/counts.json").read_text()) == {"yes": 1, "no": 3}


def test_the_record_has_inputs_outputs_settings_and_code(finished: Toy) -> None:
    record = finished.record("count")
    assert set(record["inputs"]) == {"collect/words.txt", "recipe/lexicon.txt"}
    assert set(record["outputs"]) == {"count/counts.json"}
    assert record["settings"] == {"lm.order": 3}
    assert {"toykit/count.py", "toykit/counting.py", "asrkit/storage/files.py"} <= set(record["code"])
    assert not [file for file in record["code"] if file.startswith(("asrkit/config", "asrkit/pipeline"))]
    assert record["peak_bytes"] > 1e6
    assert record["output_bytes"] > 10


def test_stage_runs_a_fresh_stage_again_and_later_ones_only_if_stale(finished: Toy) -> None:
    assert finished.ran(finished.run("--stage", "1")) == ["collect"]
    finished.replace("recipes/toy/lexicon.txt", "yes Y\n", "")
    assert finished.ran(finished.run("--stage", "collect", "--stop-stage", "2")) == ["collect", "count"]
    assert list(finished.states()) == ["tell"]


def test_force_runs_the_chosen_stages(finished: Toy) -> None:
    assert finished.ran(finished.run("--force", "--stage", "1", "--stop-stage", "2")) == ["collect", "count"]
    assert finished.ran(finished.run("--force")) == ALL


def test_must_run_without_running_anything(finished: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(finished.folder)  # with toykit, the stages' code
    experiment, count = finished.experiment(), STAGES[2]
    assert not must_run(count, experiment, Request([count]))
    assert must_run(count, experiment, Request([count], force=True))
    assert must_run(count, experiment, Request([count], again=count))
    finished.replace("recipes/toy/lexicon.txt", "yes Y\n", "")
    assert must_run(count, experiment, Request([count]))
    (finished.exp / "stages/count.json").unlink()
    assert must_run(count, experiment, Request([count]))


def test_stage_refuses_when_an_earlier_one_is_not_finished(toy: Toy) -> None:
    output = toy.run("--stage", "2", status=1)
    assert "stage 2 (count) needs stage 1 (collect), which was never run" in output
    assert "run.sh --stage fetch" in output
    assert "Traceback" not in output
    kill(toy.hold())
    output = toy.run("--stage", "3", status=1)
    assert "stage 3 (tell) needs stage 2 (count), which never finished" in output
    assert "run.sh --stage count" in output


def test_stage_refuses_when_what_it_reads_is_gone(finished: Toy) -> None:
    (finished.exp / "collect/words.txt").unlink()
    output = finished.run("--stage", "2", status=1)
    assert "stage 2 (count) reads collect/words.txt, which is missing" in output
    assert "run.sh --stage collect" in output


def test_stage_warns_when_an_earlier_one_is_stale(finished: Toy) -> None:
    (finished.corpus / "a.wav").write_text("yes")
    output = finished.run("--stage", "2")
    assert "warning: stage 1 (collect) isn't fresh (audio a.wav changed)" in output
    assert finished.ran(output) == ["count"]


def test_a_missing_file_of_the_recipe_is_named(toy: Toy) -> None:
    (toy.recipe / "lexicon.txt").unlink()
    output = toy.run(status=1)
    assert "stage 2 (count) reads lexicon.txt, which is missing" in output
    assert str(toy.recipe / "lexicon.txt") in output


def test_dry_run_lists_what_would_run_and_does_nothing(finished: Toy) -> None:
    finished.replace("recipes/toy/lexicon.txt", "yes Y\n", "")
    before = {file: file.stat().st_mtime_ns for file in finished.exp.rglob("*")}
    lines = finished.run("--dry-run").splitlines()
    assert lines[1] == "would skip stage 1 (collect): fresh"
    assert lines[2] == "would run stage 2 (count): lexicon.txt changed"
    assert lines[3] == "may run stage 3 (tell): if outputs of stage 2 (count) change"
    finished.run("--status")
    assert {file: file.stat().st_mtime_ns for file in finished.exp.rglob("*")} == before


@pytest.mark.parametrize("option", ["--dry-run", "--status"])
def test_status_and_dry_run_create_no_folder(toy: Toy, option: str) -> None:
    toy.run(option)
    assert not toy.exp.exists()


def test_a_run_killed_before_the_record_leaves_nothing_running_and_resumes(toy: Toy, finished: Toy) -> None:
    run = toy.hold()
    processes = toy.held_processes()
    assert all(map(is_running, processes))
    assert not (toy.exp / "stages/count.json").exists()
    assert kill(run) == -signal.SIGKILL
    wait_until(lambda: not any(map(is_running, processes)))
    assert toy.states() == {"count": "unfinished: never finished", "tell": "new: never run"}
    output = toy.run()
    assert toy.ran(output) == ["count", "tell"]
    assert "goes on" in output
    assert toy.files() == finished.files()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_stage_with_all_that_it_started(toy: Toy, number: int, status: int) -> None:
    run = toy.hold()
    processes = toy.held_processes()
    assert kill(run, number) == status
    wait_until(lambda: not any(map(is_running, processes)))
    log = (toy.exp / "logs/count.log").read_text()
    assert f"interrupted by {signal.Signals(number).name}" in log
    assert toy.ran(toy.run()) == ["count", "tell"]


def test_ctrl_c_is_reported_in_one_line(toy: Toy) -> None:
    run = toy.start(trouble="hold")
    wait_until((toy.exp / "held").exists)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert err.split("\n") == ["", "interrupted by SIGINT: the same command resumes", ""]


def test_a_killed_stage_is_reported_and_leaves_nothing_running(toy: Toy) -> None:
    run = toy.start(trouble="hold")
    wait_until((toy.exp / "held").exists)
    processes = toy.held_processes()
    os.kill(processes[0], signal.SIGKILL)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "stage 2 (count) was killed by SIGKILL (often: out of memory)" in err
    assert "the same command resumes" in err
    wait_until(lambda: not any(map(is_running, processes)))


def test_what_a_stage_leaves_running_ends_with_it(toy: Toy) -> None:
    toy.run(trouble="orphan")


def test_an_interrupted_stage_starts_again_when_what_it_is_made_from_changed(toy: Toy) -> None:
    kill(toy.hold())
    toy.replace("recipes/toy/lexicon.txt", "yes Y\n", "")
    reason = "never finished, and its inputs or settings have changed since"
    assert toy.states()["count"] == f"unfinished: {reason}"
    output = toy.run()
    assert reason in output
    assert "goes on" not in output
    assert json.loads((toy.exp / "count/counts.json").read_text()) == {"no": 3}


def test_a_stale_stage_starts_in_an_empty_folder(finished: Toy) -> None:
    (finished.exp / "count/left-over").write_text("")
    assert "goes on" not in finished.run("--set", "lm.order=2")
    assert not (finished.exp / "count/left-over").exists()
    assert not list(finished.exp.glob("count.*"))


def test_a_run_that_fails_leaves_what_was_finished(finished: Toy) -> None:
    before = finished.files()
    for trouble in ("user", "fault", "killed"):
        finished.run("--set", "lm.order=2", trouble=trouble, status=1)
        assert finished.files() == before
        assert finished.states() == {}
    assert finished.ran(finished.run()) == []


@pytest.mark.parametrize(
    "moment", ["current.rename(old)", "folder.rename(current)", "write_bytes(record_file"]
)
def test_a_kill_while_outputs_are_replaced_loses_none(finished: Toy, moment: str) -> None:
    """Killed after each step of the replacement: the earlier work is in use, the later one is not redone."""
    before = finished.files()
    hook = f"""
import inspect, os, asrkit.pipeline.workspace as workspace
lines = inspect.getsource(workspace.publish).split("\\n")
place = next(i for i, line in enumerate(lines) if {moment!r} in line)
indent = lines[place][: len(lines[place]) - len(lines[place].lstrip())]
lines.insert(place + 1, indent + "if stage.name == 'count': os.kill(os.getpid(), 9)")
exec("\\n".join(lines), vars(workspace))
import asrkit.pipeline.runner
asrkit.pipeline.runner.publish = workspace.publish
"""
    finished.replace("drive.py", "import asrkit.cli.run\n", "import asrkit.cli.run\n" + hook)
    finished.replace("recipes/toy/lexicon.txt", "yes Y\n", "")
    finished.run(status=-signal.SIGKILL)
    finished.replace("drive.py", hook, "")
    finished.write("recipes/toy/lexicon.txt", "yes Y\nno N\n")
    assert finished.ran(finished.run()) == ([] if "record" not in moment else ["count"])
    assert finished.files() == before
    assert not list(finished.exp.glob("count.old"))


def test_trainings_are_kept_and_reused(finished: Toy) -> None:
    first = os.readlink(finished.exp / "tell")
    for confidence in (0.9, 0.8):
        output = finished.run("--set", f"score.confidence={confidence}")
        assert finished.ran(output) == ["tell"]
    assert len(list((finished.exp / "trainings").iterdir())) == 3
    output = finished.run()
    assert finished.ran(output) == []
    assert f"uses {first.partition('/')[2]}, which has these settings and inputs" in output
    assert os.readlink(finished.exp / "tell") == first
    assert finished.states() == {}
    listed = finished.run("--status")
    assert f"used  {first.partition('/')[2]}" in listed and listed.count("kept  toy-") == 2


def test_a_training_that_was_changed_since_is_not_used_again(finished: Toy) -> None:
    first = (finished.exp / "tell").resolve()
    finished.run("--set", "score.confidence=0.9")
    (first / "report.txt").write_text("other")
    output = finished.run()
    assert "its files have changed: not used" in output
    assert finished.ran(output) == ["tell"]
    assert (finished.exp / "tell").resolve() != first and (first / "report.txt").read_text() == "other"


def test_asking_for_a_finished_training_makes_another_and_keeps_the_first(finished: Toy) -> None:
    first = (finished.exp / "tell").resolve()
    assert finished.ran(finished.run("--stage", "tell")) == ["tell"]
    assert (finished.exp / "tell").resolve() == first.with_name(f"{first.name}-2")
    assert (first / "report.txt").exists()


def test_force_starts_an_interrupted_stage_again(toy: Toy) -> None:
    kill(toy.hold())
    assert "goes on" not in toy.run("--force", "--stage", "2")


def test_a_users_mistake_is_shown_without_traceback(toy: Toy) -> None:
    output = toy.run(trouble="user", status=1)
    assert "error: stage 2 (count): no dictionary\n  to do:    write one\n" in output
    assert "Traceback" not in output
    assert "no dictionary" in (toy.exp / "logs/count.log").read_text()
    assert toy.ran(toy.run()) == ["count", "tell"]


def test_a_fault_is_one_line_and_its_traceback_is_in_the_log(toy: Toy) -> None:
    output = toy.run(trouble="fault", status=1)
    log = toy.exp / "logs/count.log"
    assert "error: stage 2 (count) failed: ValueError: seven is not six\n" in output
    assert str(log) in output
    assert "Traceback" not in output
    assert 'raise ValueError("seven is not six")' in log.read_text()
    assert 'raise ValueError("seven is not six")' in toy.run("--debug", trouble="fault", status=1)


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("exit", "stage 2 (count) failed: SystemExit: 3"),
        ("killed", "stage 2 (count) was killed by SIGKILL"),
        ("forget", "stage 2 (count) ended, but count/counts.json is missing"),
    ],
)
def test_a_stage_that_ends_abnormally_is_not_finished(toy: Toy, trouble: str, message: str) -> None:
    assert message in toy.run(trouble=trouble, status=1)
    assert toy.states()["count"].startswith("unfinished")


def test_logs_hold_what_a_stage_printed_with_times(finished: Toy) -> None:
    finished.run("--stage", "3", "--set", "score.confidence=0.9")
    log = (finished.exp / "logs/tell.log").read_text().splitlines()
    heads = [line for line in log if " ==== " in line]
    assert ["done in" in line for line in heads] == [False, True, False, True]
    assert "--set score.confidence=0.9" in heads[2]
    assert len([line for line in log if "counts: {" in line]) == 2
    assert all(line[2] == ":" and line[5] == ":" for line in log)


def test_settings_used_are_kept(finished: Toy) -> None:
    finished.run("--set", "lm.order=2")
    kept = finished.exp / "recipe.yaml"
    assert "order: 2" in kept.read_text()
    assert finished.ran(finished.run("--config", str(kept))) == []


def test_cost_is_noted_by_stage_and_kept_for_stages_that_did_not_run(finished: Toy) -> None:
    before = json.loads((finished.exp / "cost.json").read_text())
    assert set(before["stages"]) == set(ALL)
    assert before["cores"] >= 1
    assert len(before["configuration"]) == 32
    finished.run("--stage", "3")
    after = json.loads((finished.exp / "cost.json").read_text())
    assert after["stages"]["count"] == before["stages"]["count"]
    assert after["stages"]["tell"] != before["stages"]["tell"]


def test_cost_of_an_interrupted_stage_holds_all_attempts(toy: Toy) -> None:
    run = toy.hold()
    note = toy.exp / "count/.begun"
    begun = json.loads(note.read_text())["started"]
    kill(run)
    os.utime(note, (begun + 100, begun + 100))  # as if it had run that long
    toy.run()
    assert 100 <= toy.record("count")["seconds"] < 200


def test_nothing_heavy_is_imported_when_nothing_is_to_do(finished: Toy) -> None:
    names = "sorted({name.split('.')[0] for name in sys.modules})"
    show = f"\natexit.register(lambda: print('imported', *{names}))\n"
    finished.replace("drive.py", "import asrkit.cli.run\n", "import asrkit.cli.run" + show)
    imported = finished.run().splitlines()[-1].split()
    assert "asrkit" in imported
    assert not {"torch", "lhotse", "k2", "numpy", "tqdm"} & set(imported)
