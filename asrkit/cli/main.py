"""The console command `asrkit`: finds the verb, runs it, and says what went wrong."""

import contextlib
import importlib
import os
import signal
import sys
import traceback
from typing import List, Optional, Sequence

import click

from asrkit.errors import UserError
from asrkit.pipeline.interruption import Interrupted, note_interrupts, received
from asrkit.pipeline.machine import prepare_processor
from asrkit.pipeline.terminal import OutputClosed, discard_output, guarded_output

# A verb's module is asrkit.cli.<verb>, imported when it is called; its entry is named `command`.
VERBS = {
    "run": "Run the stages of a recipe; recipes/NAME/run.sh calls this.",
    "new-recipe": "Write a recipe for a corpus in a common form, with settings suggested from it.",
    "clean": "List the trainings of an experiment, and remove those that aren't in use.",
    "corpus": "Report what a corpus holds, and what in it does not look right.",
    "export-kaldi": "Write the manifests of an experiment as Kaldi data directories.",
    "describe": "Print the acoustic model of a recipe, stage by stage.",
    "plan": "Print the disk, memory and hours that a recipe will take.",
    "graph": "Print what a decoding graph was made of, or draw a small one.",
    "doctor": "Say whether the environment is in order, and what to type if not.",
    "report": "Write RESULTS.md of every recipe and README's table from the kept records.",
    "transcribe": "Transcribe recordings: text, JSON with word times, subtitles, CTM.",
    "align": "Align texts with recordings: TextGrid, CTM, JSON.",
    "export": "Write a bundle: ONNX, TorchScript and an OpenFst graph, for use without asrkit.",
    "serve": "Serve a trained model over HTTP, with OpenAI's interface.",
    "evaluate": "Score a trained experiment on any lhotse CutSet.",
    "compare": "Compare two experiments on the same test sets, utterance by utterance.",
    "check-results": "Fail when a result is worse than it may be.",
}


class VerbGroup(click.Group):
    """Imports no verb but the one that is called."""

    def list_commands(self, ctx: click.Context) -> List[str]:
        """All verbs."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        """Import the verb's module."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"asrkit.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs for --help without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=VerbGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def asrkit(debug: bool) -> None:
    """Speech recognition in stages, from audio to word error rate."""


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Run a verb; exit status 0: done, 1: it failed, 2: wrong options, 128 + n: ended by signal n."""
    _restart_in_utf8()
    note_interrupts()
    words = list(sys.argv[1:] if arguments is None else arguments)
    prepare_processor()
    with guarded_output():
        try:
            status = _run(words, "--debug" in words)
            sys.stdout.flush()
            sys.stderr.flush()
        except OutputClosed:
            status = 128 + signal.SIGPIPE
            discard_output()
        except UserError as error:  # what is printed can't be written
            status = 1
            with contextlib.suppress(OutputClosed, UserError):
                print(f"error: {error}", file=sys.stderr, flush=True)
            discard_output()
    sys.exit(status)


def _restart_in_utf8() -> None:
    """Restart in Python's UTF-8 mode if the locale has another encoding: file names are in UTF-8.

    What is printed keeps the terminal's encoding.
    """
    words = getattr(sys, "orig_argv", ["python", *sys.argv])[1:]  # Python 3.9 doesn't keep its own options
    if sys.getfilesystemencoding() == "utf-8" or words[0] == sys.argv[0] == "-c":
        return
    os.environ["PYTHONUTF8"] = "1"
    if sys.stdout is not None:
        os.environ.setdefault("PYTHONIOENCODING", f"{sys.stdout.encoding}:backslashreplace")
    os.execv(sys.executable, [sys.executable, *words])


def _run(words: Sequence[str], debug: bool) -> int:
    try:
        status = asrkit.main(args=words, prog_name="asrkit", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.ClickException as error:
        error.show(sys.stderr)
        return error.exit_code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except (KeyboardInterrupt, click.Abort):  # click has begun a line
        return _interrupted("", signal.SIGINT)
    except Interrupted as interruption:
        return _interrupted("\n", interruption.number)
    except OutputClosed:
        raise
    except Exception as error:
        if received:  # C code turns the exception that a signal raises in an import into its own
            return _interrupted("\n", received[0])
        if not isinstance(error, UserError):
            todo = "" if debug else "--debug shows the traceback"
            error = UserError(f"{type(error).__name__}: {error}".rstrip(": "), todo=todo)
        sys.stdout.flush()
        if debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return 1


def _interrupted(begin: str, number: int) -> int:
    name = signal.Signals(number).name
    print(f"{begin}interrupted by {name}: the same command goes on from here", file=sys.stderr)
    return 128 + number
