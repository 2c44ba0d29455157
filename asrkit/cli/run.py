"""asrkit run: the stages of a recipe."""

import json
import os
import sys
from pathlib import Path
from typing import List, Optional, Tuple

import click

from asrkit.config import load_config
from asrkit.pipeline.experiment import Experiment, remembered_corpus
from asrkit.pipeline.interruption import die_with
from asrkit.pipeline.machine import count_cores, prepare_processor
from asrkit.pipeline.parallel import check_launch, launched_rank
from asrkit.pipeline.runner import Request, choose_stages, must_run, run_here, run_stages
from asrkit.pipeline.status import dry_run_lines, status_lines
from asrkit.stages.table import STAGES, make_pipeline

FOLDER = click.Path(path_type=Path)
EPILOG = """What is fresh is skipped, what is stale is redone, and a line says why. An interrupted stage
continues where it was, so to resume, type the same command again."""


class _Command(click.Command):
    """Lists the recipe's own stages below the options."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the stages of run.sh, then the epilog."""
        words = sys.argv[1:]
        lines = [words[place + 1] for place, word in enumerate(words[:-1]) if word == "--line"]
        with formatter.section("Stages"):
            formatter.write_dl([(f"{s.number} {s.name}", s.purpose) for s in make_pipeline(lines, STAGES)])
        super().format_epilog(ctx, formatter)


@click.command(
    "run", cls=_Command, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option("--recipe", required=True, type=FOLDER, metavar="DIR", help="Folder with recipe.yaml.")
@click.option("--stage", metavar="N", help="First stage to run, a number or a name; it runs even if fresh.")
@click.option("--stop-stage", metavar="N", help="Last stage to run.  [default: the last]")
@click.option("--status", is_flag=True, help="Show the state of every stage, and do nothing.")
@click.option("--dry-run", is_flag=True, help="Print what would run and why, and do nothing.")
@click.option("--force", is_flag=True, help="Run the chosen stages from their beginning, fresh or not.")
@click.option("--strict", is_flag=True, help="Take a stage whose code has changed for stale.")
@click.option("--exp", type=FOLDER, metavar="DIR", help="All that is written.  [default: RECIPE/exp]")
@click.option(
    "--corpus-dir",
    type=FOLDER,
    metavar="DIR",
    help="The corpus.  [default: that of the last run in EXP, else RECIPE/download]",
)
@click.option("--config", type=FOLDER, metavar="FILE", help="YAML file laid over recipe.yaml.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change one setting.")
@click.option("--partial", is_flag=True, help="Take a corpus that isn't complete; every result says so.")
@click.option(
    "--init-from",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Weights to start from: --set train.init_from=FILE.",
)
@click.option("--nj", type=click.IntRange(min=1), help="Processes at once.  [default: the cores]")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--line", "lines", multiple=True, hidden=True)  # a stage of run.sh, from utils/recipe.sh
def command(
    recipe: Path,
    stage: Optional[str],
    stop_stage: Optional[str],
    status: bool,
    dry_run: bool,
    force: bool,
    strict: bool,
    exp: Optional[Path],
    corpus_dir: Optional[Path],
    config: Optional[Path],
    assignments: Tuple[str, ...],
    partial: bool,
    init_from: Optional[Path],
    nj: Optional[int],
    debug: bool,
    lines: Tuple[str, ...],
) -> None:
    """Run the stages of a recipe, from audio to word error rate."""
    if partial:
        assignments = (*assignments, "corpus.partial=true")
    if init_from is not None:
        assignments = (*assignments, f"train.init_from={json.dumps(str(_absolute(init_from)))}")
    directory = _absolute(exp or recipe / "exp")
    experiment = Experiment(
        config=load_config(recipe / "recipe.yaml", config, assignments),
        directory=directory,
        corpus_directory=_absolute(corpus_dir or remembered_corpus(directory) or recipe / "download"),
        recipe_directory=_absolute(recipe),
        jobs=nj or count_cores(),
    )
    stages, rank = make_pipeline(lines, STAGES), launched_rank()
    request = Request(
        stages=choose_stages(stages, stage, stop_stage),
        # torchrun's command has to name the stage, so there that asks for no training once it has ended
        again=choose_stages(stages, stage, None)[0] if stage is not None and rank is None else None,
        force=force,
        strict=strict,
        debug=debug,
        command=["asrkit", *_shown_arguments()],
    )
    if rank is not None:
        die_with(os.getppid())
        check_launch(request.stages, experiment.config.train.processes)
    if status:
        print("\n".join(status_lines(stages, experiment, strict)))
    elif dry_run:
        print("\n".join(dry_run_lines(stages, experiment, request)))
    elif rank:  # the first one runs the stage as always; the others join it there
        if must_run(request.stages[0], experiment, request):
            prepare_processor()
            run_here(request.stages[0], experiment)
    else:
        run_stages(stages, experiment, request)


def _absolute(folder: Path) -> Path:
    return Path(os.path.abspath(folder))


def _shown_arguments() -> List[str]:
    """The command line, without the stages that run.sh adds."""
    words = iter(sys.argv[1:])
    return [word for word in words if word != "--line" or not next(words)]
