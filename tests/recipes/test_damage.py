"""What is wrong with a language model, lexicon, graph or hypotheses is told in words, with what to type."""

import gzip
import shutil
import subprocess
from pathlib import Path
from typing import Callable, Dict, List, Tuple

import pytest

from tests.recipes.test_yesno import Run

pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = [pytest.mark.k2, pytest.mark.recipe]

ARPA = "\\data\\\nngram 1=5\n\n\\1-grams:\n-1 <unk>\n-99 <s>\n-1 </s>\n-0.5 YES\n-0.5 NO\n\n\\end\\\n"
LEXICON = "YES Y EH S\nNO N OW\n"
Damage = Callable[[Run], List[str]]  # does it, and gives the options that run what meets it


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, corpora: Callable[[str], Path]) -> Run:
    run = Run(tmp_path_factory.mktemp("whole"), corpora("yesno"))
    run("--set", "train.epochs=1")
    return run


def given(setting: str, content: bytes, stage: int, name: str = "given") -> Damage:
    """A file of the user's own, which a setting names."""

    def damage(run: Run) -> List[str]:
        (run.recipe / name).write_bytes(content)
        return ["--stage", str(stage), "--set", f"{setting}={name}"]

    return damage


def arpa(old: str, new: str) -> Damage:
    return given("lm.arpa", ARPA.replace(old, new).encode(), 4)


def changed(file: str, stage: int, change: Callable[[bytes], bytes]) -> Damage:
    """A file of the experiment."""

    def damage(run: Run) -> List[str]:
        place = run.experiment / file
        place.write_bytes(change(place.read_bytes()))
        return ["--stage", str(stage)]

    return damage


def removed(file: str, stage: int) -> Damage:
    def damage(run: Run) -> List[str]:
        (run.experiment / file).unlink()
        return ["--stage", str(stage)]

    return damage


def cut(content: bytes) -> bytes:
    return content[:-40]


DAMAGES: Dict[str, Tuple[Damage, str]] = {
    "no such language model": (lambda run: ["--set", "lm.arpa=none.arpa"], "none.arpa, which is missing"),
    "an ARPA file of nothing": (given("lm.arpa", b"", 4), "not an ARPA file: no line \\data\\"),
    "an ARPA file of bytes": (given("lm.arpa", b"\x9b\x00" * 99, 4), "line 1: can't read it: 'utf-8' codec"),
    "an ARPA file's counts": (arpa("1=5", "1=6"), "line 4: 5 1-grams"),
    "an ARPA file's end": (arpa("-0.5 NO\n\n\\end\\\n", ""), "line 4: 4 1-grams"),
    "a word twice": (arpa("NO", "YES"), "line 9: YES a second time"),
    "a comma in a number": (arpa("-0.5 NO", "-0,5 NO"), "line 9: log10 probability -0,5"),
    "a probability above 1": (arpa("-0.5 NO", "0.5 NO"), "line 9: log10 probability 0.5"),
    "words of another language": (
        lambda run: arpa("-0.5 YES\n-0.5 NO", "-0.5 JA\n-0.5 NEIN")(run),
        "the language model has none of the words of the lexicon",
    ),
    "text of another encoding": (given("lm.text", b"YES\nN\xd6\n", 4), "'utf-8' codec can't decode"),
    "compressed text cut short": (
        given("lm.text", gzip.compress(b"YES NO\n" * 999)[:-9], 4, "given.gz"),
        "Compressed file ended before the end-of-stream marker",
    ),
    "a word that the lexicon lacks": (
        given("units.lexicon", b"YES Y EH S\n", 3),
        "1 words of the training text are not in the lexicon: NO",
    ),
    "a word without units": (given("units.lexicon", f"{LEXICON}MAYBE\n".encode(), 3), "MAYBE has no units"),
    "a reserved word": (
        given("units.lexicon", f"{LEXICON}<eps> M\n".encode(), 3),
        "reserved symbol: <eps> M",
    ),
    "an empty lexicon": (given("units.lexicon", b"", 3), "the lexicon is empty"),
    "a lexicon of other words than the table": (
        changed("units/lexicon.txt", 5, lambda content: content.replace(b"NO", b"NEIN")),
        "the lexicon has NEIN, which words.txt lacks",
    ),
    "a table that is none": (changed("units/words.txt", 5, lambda _: b"\xff\x00"), "can't read"),
    "no model to make a graph of": (removed("lm/lm.arpa", 5), "reads lm/lm.arpa, which is missing"),
    "half a graph": (changed("graph/HLG.safetensors", 8, cut), "can't read"),
    "units of another lexicon": (
        changed("units/units.txt", 8, lambda content: content.replace(b"OW", b"AW")),
        "the model was made with another units.txt",
    ),
    "a graph of another lexicon": (
        changed("units/lexicon.txt", 8, lambda content: content.replace(b"L OW", b"L EH")),
        "the graph was made with another lexicon.txt",
    ),
    "half a model": (changed("average/model.safetensors", 8, cut), "can't read"),
    "half the hypotheses": (changed("decode/test/hypotheses_1best.jsonl", 9, cut), "can't read"),
    "an utterance too few": (
        changed("decode/test/hypotheses_1best.jsonl", 9, lambda content: content.partition(b"\n")[2]),
        "utterance ids don't match; 1 without a hypothesis",
    ),
    "an utterance twice": (
        changed("decode/test/hypotheses_1best.jsonl", 9, lambda rows: rows + rows.splitlines(True)[0]),
        "1 duplicate ids",
    ),
    "no timing": (removed("decode/test/timing_1best.json", 9), "timing_1best.json, which is missing"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_it_is_told_in_words_with_what_to_type(finished: Run, tmp_path: Path, name: str) -> None:
    run, (damage, words) = copied(finished, tmp_path), DAMAGES[name]
    status, output = end_of(run, damage(run))
    assert status == 1
    assert words in output
    assert "  expected: " in output and "  where: " in output and "  to do: " in output
    assert "Traceback" not in output and " failed: " not in output


def test_words_that_the_language_model_lacks_are_named(finished: Run, tmp_path: Path) -> None:
    run = copied(finished, tmp_path)
    status, output = end_of(run, [*arpa("YES", "JA")(run), "--stop-stage", "5"])
    assert status == 0
    lacked = "1 of 2 words of the lexicon can't be recognised: the language model lacks them: YES\n"
    assert lacked in output


def copied(finished: Run, folder: Path) -> Run:
    """The finished run, whose experiment and recipe may be changed."""
    run = object.__new__(Run)
    run.project, run.corpus = finished.project, finished.corpus
    run.recipe, run.experiment = folder / "yesno", folder / "exp"
    shutil.copytree(finished.recipe, run.recipe)
    shutil.copytree(finished.experiment, run.experiment)
    return run


def end_of(run: Run, options: List[str]) -> Tuple[int, str]:
    """Exit status and what was printed."""
    command = run.command("--set", "train.epochs=1", *options)
    environment = {**run.environment(), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=run.project
    )
    return done.returncode, done.stdout
