"""The command `asrkit`: run a verb and report its errors."""

import contextlib
import difflib
import importlib
import os
import signal
import sys
import traceback
from typing import List, Optional, Sequence, Tuple

import click

from asrkit.errors import UserError
from asrkit.pipeline.interruption import Interrupted, note_interrupts, received
from asrkit.pipeline.machine import prepare_processor
from asrkit.pipeline.output import OutputClosed, discard_output, guarded_output

# A verb's module is asrkit.cli.VERB, imported only when it is called; it defines `command`.
VERBS = {
    "run": "Run the stages of a recipe (called by recipes/NAME/run.sh).",
    "new-recipe": "Create a recipe for a corpus in a common format, with suggested settings.",
    "clean": "List the trainings of an experiment and remove unused ones.",
    "corpus": "Report corpus statistics and suspicious utterances.",
    "export-kaldi": "Export the manifests of an experiment as Kaldi data directories.",
    "describe": "Print the layers, shapes and parameters of a recipe's acoustic model.",
    "plan": "Estimate disk space and hours that a recipe needs.",
    "graph": "Print statistics of a decoding graph, or draw a small one.",
    "doctor": "Check the environment, and print how to fix it.",
    "report": "Generate RESULTS.md of all recipes and README's table from their records.",
    "show": "Write one HTML page of an experiment, with a browser of its utterances.",
    "transcribe": "Transcribe recordings: text, JSON with word times, subtitles, CTM.",
    "align": "Align texts with recordings: TextGrid, CTM, JSON.",
    "speak": "Synthesise speech with the voice that stage synthesise trained.",
    "export": "Export a bundle: ONNX, TorchScript and an OpenFst graph, for use without asrkit.",
    "serve": "Serve a trained model over HTTP, with OpenAI's interface.",
    "evaluate": "Decode and score any lhotse CutSet with a trained experiment.",
    "robustness": "Measure the error rate in noise, rooms and poor channels.",
    "latency": "Measure the error rate and delay of streams by chunk size.",
    "prune": "Cut a trained model to a smaller one, to be fine-tuned.",
    "compare": "Compare two experiments on the same test sets (significance test).",
    "check-results": "Fail if an error rate is above a limit.",
}


class VerbGroup(click.Group):
    """Imports only the verb that is called."""

    def list_commands(self, ctx: click.Context) -> List[str]:
        """Names of all verbs."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        """Import the verb's module."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"asrkit.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: List[str]
    ) -> Tuple[Optional[str], Optional[click.Command], List[str]]:
        """Find the verb; for an unknown one print what was probably meant."""
        name = args[0]
        if name not in VERBS:
            ctx.fail(f"No such command {name!r}. To do: {_verb_to_type(name)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs in --help without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


def _verb_to_type(name: str) -> str:
    from asrkit.stages.table import STAGES  # an error may take a moment

    if name in [stage.name for stage in STAGES]:
        return f"recipes/NAME/run.sh --stage {name} --stop-stage {name}"
    if name in ("status", "dry-run", "force"):
        return f"recipes/NAME/run.sh --{name}"
    near = difflib.get_close_matches(name, VERBS, n=1)
    return f"asrkit {near[0]}" if near else "asrkit --help lists the verbs"


@click.group(cls=VerbGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Print the traceback of an error.")
def asrkit(debug: bool) -> None:
    """Speech recognition recipes, from audio to word error rate."""


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Run a verb. Exit status 0: success, 1: failure, 2: wrong options, 128 + n: ended by signal n."""
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
        except UserError as error:  # the output can't be written
            status = 1
            with contextlib.suppress(OutputClosed, UserError):
                print(f"error: {error}", file=sys.stderr, flush=True)
            discard_output()
    sys.exit(status)


def _restart_in_utf8() -> None:
    """Restart in Python's UTF-8 mode if the locale has another encoding: file names are in UTF-8.

    Output keeps the terminal's encoding.
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
    except (KeyboardInterrupt, click.Abort):  # click has started a line
        return _interrupted("", signal.SIGINT)
    except Interrupted as interruption:
        return _interrupted("\n", interruption.number, interruption.todo)
    except OutputClosed:
        raise
    except Exception as error:
        if received:  # C code in an import replaces the exception that a signal raises
            return _interrupted("\n", received[0])
        if not isinstance(error, UserError):
            todo = "" if debug else "--debug prints the traceback"
            error = UserError(f"{type(error).__name__}: {error}".rstrip(": "), todo=todo)
        sys.stdout.flush()
        if debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return 1


def _interrupted(begin: str, number: int, todo: str = "the same command resumes") -> int:
    print(f"{begin}interrupted by {signal.Signals(number).name}: {todo}", file=sys.stderr)
    return 128 + number
