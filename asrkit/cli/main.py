"""The console command `asrkit`: finds the verb, runs it, and says what went wrong."""

import importlib
import signal
import sys
import traceback
from typing import List, Optional, Sequence

import click

from asrkit.errors import UserError
from asrkit.pipeline.interruption import Interrupted
from asrkit.pipeline.processor import prepare_processor

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
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    prepare_processor()
    try:
        status = asrkit.main(args=words, prog_name="asrkit", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except UserError as error:
        _complain(str(error), debug)
        sys.exit(1)
    except (KeyboardInterrupt, click.Abort):  # click has begun a line
        _leave_interrupted("", signal.SIGINT)
    except Interrupted as interruption:
        _leave_interrupted("\n", interruption.number)
    except BrokenPipeError:
        sys.stdout = None  # type: ignore[assignment]  # nobody reads it: leave no complaint at exit
        sys.exit(141)
    except Exception as error:
        todo = "" if debug else "\n  to do:    --debug shows the traceback"
        _complain(f"{type(error).__name__}: {error}{todo}", debug)
        sys.exit(1)


def _leave_interrupted(begin: str, number: int) -> None:
    name = signal.Signals(number).name
    print(f"{begin}interrupted by {name}: the same command goes on from here", file=sys.stderr)
    sys.exit(128 + number)


def _complain(message: str, debug: bool) -> None:
    sys.stdout.flush()
    if debug:
        traceback.print_exc()
    print(f"error: {message}", file=sys.stderr)
