"""A recipe of four small stages, run as a user runs one: in a process of its own, by the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

import msgspec

from asrkit.config import RecipeConfig, load_config
from asrkit.pipeline.experiment import REPOSITORY, Experiment
from asrkit.pipeline.stage import Stage

STAGES = (
    Stage(
        name="fetch",
        purpose="make the corpus",
        writes=("{corpus}",),
        number="0",
        module="toykit.fetch",
        corpus_code=True,
    ),
    Stage(
        name="collect",
        purpose="collect words",
        reads=("{corpus}", "{recipe}/expect.json?"),
        writes=("collect/words.txt",),
        result=("corpus",),
        number="1",
        module="toykit.collect",
        corpus_code=True,
    ),
    Stage(
        name="count",
        purpose="count words of the lexicon",
        reads=("collect/words.txt", "{recipe}/lexicon.txt"),
        writes=("count/counts.json",),
        result=("lm.order",),
        how=("train.threads",),
        number="2",
        module="toykit.count",
    ),
    Stage(
        name="tell",
        purpose="tell the counts",
        reads=("count/counts.json",),
        writes=("tell/report.txt", "tell/maybe.txt?"),
        result=("score",),
        number="3",
        module="toykit.tell",
        kept=True,
    ),
)

SOURCES = {
    "recipes/toy/recipe.yaml": "name: toy\ncorpus: {module: toy}\n",
    "recipes/toy/lexicon.txt": "yes Y\nno N\n",
    "local/toy.py": """
        def read(folder):
            return sorted(word for file in folder.glob("*.wav") for word in file.read_text().split())
        """,
    "toykit/__init__.py": "",
    "toykit/fetch.py": """
        def run(experiment):
            experiment.corpus_directory.mkdir(exist_ok=True)
            for name, text in (("a.wav", "yes no"), ("b.wav", "no no"), ("README", "speech")):
                (experiment.corpus_directory / name).write_text(text)
        """,
    "toykit/collect.py": """
        import sys
        from asrkit.storage.files import write_text
        def run(experiment):
            sys.path.insert(0, str(experiment.local_directory))
            import toy
            words = toy.read(experiment.corpus_directory)
            write_text(experiment.folder("collect") / "words.txt", " ".join(words))
        """,
    "toykit/count.py": """
        '''Counts.'''
        from asrkit.storage.files import write_json
        def run(experiment):
            from . import counting
            folder = experiment.folder("count")
            pieces = folder / "pieces.json"
            if pieces.exists():
                print("goes on")
            write_json(pieces, 1)
            words = (experiment.directory / "collect/words.txt").read_text().split()
            lexicon = (experiment.recipe_directory / "lexicon.txt").read_text()
            write_json(folder / "counts.json", counting.count(words, lexicon))
            from toykit import trouble
            trouble.maybe(experiment)
        """,
    "toykit/counting.py": """
        def count(words, lexicon):
            '''How often each word of the lexicon was said.'''
            return {line.split()[0]: words.count(line.split()[0]) for line in lexicon.splitlines()}  # a count
        """,
    "toykit/trouble.py": """
        import multiprocessing, os, subprocess, sys, time
        from asrkit.errors import UserError
        def maybe(experiment):
            kind = os.environ.get("TOY_TROUBLE")
            if kind == "hold":
                forked = multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,))
                forked.start()
                other = subprocess.Popen(["sleep", "1000"])
                note = experiment.directory / "held.part"
                note.write_text(f"{os.getpid()} {forked.pid} {other.pid}")
                note.rename(experiment.directory / "held")
                time.sleep(1000)
            if kind == "user":
                raise UserError("no dictionary", todo="write one")
            if kind == "fault":
                raise ValueError("seven is not six")
            if kind == "killed":
                os.kill(os.getpid(), 9)
            if kind == "exit":
                sys.exit(3)
            if kind == "orphan":
                subprocess.Popen(["sleep", "1000"])
            if kind == "forget":
                (experiment.folder("count") / "counts.json").unlink()
        """,
    "toykit/tell.py": """
        import os, sys
        from asrkit.storage.files import write_text
        def run(experiment):
            counts = (experiment.directory / "count/counts.json").read_text()
            print("counts:", counts.strip(), "terminal:", sys.stderr.isatty())
            write_text(experiment.folder("tell") / "report.txt", counts)
            mark = os.environ.get("TOY_MARK")
            if mark:
                write_text(experiment.folder("tell") / "maybe.txt", mark)
        """,
    "drive.py": """
        import atexit, os, sys
        sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
        import asrkit.cli.run
        from asrkit.cli.main import main
        from tests.pipeline.toy import STAGES
        asrkit.cli.run.STAGES = STAGES
        main(["run", "--recipe", os.path.join(sys.path[0], "recipes/toy"), *sys.argv[1:]])
        """,
}


def _heed_interrupts() -> None:
    """What a shell starts in the background ignores SIGINT, and so would all that the tests start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Toy:
    """The recipe in a folder, with a corpus of two "recordings"."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.exp = folder / "recipes/toy/exp"
        self.corpus = folder / "recipes/toy/download"
        self.recipe = folder / "recipes/toy"
        for name, text in SOURCES.items():
            self.write(name, "\n".join(line[8:] if line[:8].isspace() else line for line in text.split("\n")))

    def write(self, name: str, text: str) -> None:
        """Write a file of the recipe's repository."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def replace(self, name: str, old: str, new: str) -> None:
        """Change a file of the recipe's repository."""
        text = (self.folder / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def start(self, *options: str, trouble: str = "", **streams: Any) -> "subprocess.Popen[str]":
        """Start `run.sh options`."""
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TOY_TROUBLE": trouble}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        return subprocess.Popen(
            [sys.executable, str(self.folder / "drive.py"), *options],
            env=environment,
            text=True,
            preexec_fn=_heed_interrupts,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
        )

    def run(self, *options: str, trouble: str = "", status: int = 0) -> str:
        """What `run.sh options` prints on both streams; its exit status must be `status`."""
        process = self.start(*options, trouble=trouble)
        out, err = process.communicate(timeout=60)
        assert process.returncode == status, out + err
        return out + err

    def hold(self, *options: str) -> "subprocess.Popen[str]":
        """Start a run and wait till stage 2 has written its outputs, and hangs before its record."""
        process = self.start(*options, trouble="hold", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until((self.exp / "held").exists)
        return process

    def held_processes(self) -> List[int]:
        """The stage's process, one it forked, and a program it started."""
        return [int(word) for word in (self.exp / "held").read_text().split()]

    def states(self, *options: str) -> Dict[str, str]:
        """Stages that aren't fresh, with state and reason, from --status."""
        table = self.run("--status", *options).splitlines()
        column = table[0].index("reason")
        lines = [line for line in table[1:] if line[0].isdigit()]
        rows = {line.split()[1]: (line.split()[2], line[column:].strip()) for line in lines}
        return {name: f"{state}: {reason}" for name, (state, reason) in rows.items() if state != "fresh"}

    def ran(self, output: str) -> List[str]:
        """Names of the stages that a run says are done."""
        return [stage.name for stage in STAGES if f"{stage}: done" in output]

    def files(self) -> Dict[str, bytes]:
        """Content of all that the stages wrote, without logs and records."""
        folders = [self.exp / stage.name for stage in STAGES]
        return {
            str(file.relative_to(self.exp)): file.read_bytes()
            for folder in folders
            for file in sorted(folder.rglob("*"))
            if file.is_file() and file.name != "record.json"
        }

    def experiment(self) -> Experiment:
        """The experiment as the library sees it."""
        config: RecipeConfig = load_config(self.recipe / "recipe.yaml")
        return Experiment(config, self.exp, self.corpus, self.recipe, 1)

    def record(self, stage: str) -> Dict[str, Any]:
        """The record of a stage."""
        record: Dict[str, Any] = json.loads((self.exp / "stages" / f"{stage}.json").read_text())
        return record


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited for a minute"
        time.sleep(0.01)


def is_running(process: int) -> bool:
    """Whether a process exists and isn't a zombie."""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def kill(process: "subprocess.Popen[str]", number: int = signal.SIGKILL) -> int:
    """Send a signal to a run; its exit status."""
    process.send_signal(number)
    return process.wait(timeout=60)


def settings(**corpus: Any) -> RecipeConfig:
    """Settings of a recipe, with some of the corpus's."""
    return msgspec.convert({"name": "toy", "corpus": {"module": "toy", **corpus}}, RecipeConfig)
