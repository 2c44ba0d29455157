"""asrkit run: the stages of a recipe."""

import dataclasses
import importlib
import json
import os
import sys
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

import click

from asrkit.stages.table import STAGES
from asrkit.config import load_config
from asrkit.errors import UserError
from asrkit.pipeline.cost import count_cores
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.interruption import die_with
from asrkit.pipeline.launch import check_launch, launched_rank
from asrkit.pipeline.processor import prepare_processor
from asrkit.pipeline.runner import Request, choose_stages, must_run, run_stages
from asrkit.pipeline.stage import Stage
from asrkit.pipeline.status import dry_run_lines, status_lines

FOLDER = click.Path(path_type=Path)
STAGE_LIST = "\n".join(f"{stage.number} {stage.name:<10} {stage.purpose}" for stage in STAGES)
EPILOG = f"""\b
Stages:
{STAGE_LIST}

What is fresh is skipped, what is stale is redone, and a line says why. A stage that was interrupted
goes on where it was, so the way to resume is the same command again."""


@click.command("run", epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--recipe", required=True, type=FOLDER, metavar="DIR", help="Folder with recipe.yaml.")
@click.option("--stage", metavar="N", help="First stage to run, a number or a name; it runs even if fresh.")
@click.option("--stop-stage", metavar="N", help="Last stage to run.  [default: the last]")
@click.option("--status", is_flag=True, help="Show the state of every stage, and do nothing.")
@click.option("--dry-run", is_flag=True, help="Say what would run and why, and do nothing.")
@click.option("--force", is_flag=True, help="Run the chosen stages from their beginning, fresh or not.")
@click.option("--exp", type=FOLDER, metavar="DIR", help="All that is written.  [default: RECIPE/exp]")
@click.option("--corpus-dir", type=FOLDER, metavar="DIR", help="The corpus.  [default: RECIPE/download]")
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
@click.option("--purpose", "purposes", multiple=True, metavar="TEXT", help="'N NAME WHAT', from run.sh.")
def command(
    recipe: Path,
    stage: Optional[str],
    stop_stage: Optional[str],
    status: bool,
    dry_run: bool,
    force: bool,
    exp: Optional[Path],
    corpus_dir: Optional[Path],
    config: Optional[Path],
    assignments: Tuple[str, ...],
    partial: bool,
    init_from: Optional[Path],
    nj: Optional[int],
    debug: bool,
    purposes: Tuple[str, ...],
) -> None:
    """Run the stages of a recipe, from audio to word error rate."""
    if partial:
        assignments = (*assignments, "corpus.partial=true")
    if init_from is not None:
        assignments = (*assignments, f"train.init_from={json.dumps(str(_absolute(init_from)))}")
    experiment = Experiment(
        config=load_config(recipe / "recipe.yaml", config, assignments),
        directory=_absolute(exp or recipe / "exp"),
        corpus_directory=_absolute(corpus_dir or recipe / "download"),
        recipe_directory=_absolute(recipe),
        jobs=nj or count_cores(),
    )
    stages, rank = with_purposes(STAGES, purposes), launched_rank()
    request = Request(
        stages=choose_stages(stages, stage, stop_stage),
        # torchrun's command has to name the stage, so there that asks for no training once it has ended
        anew=choose_stages(stages, stage, None)[0] if stage is not None and rank is None else None,
        force=force,
        debug=debug,
        command=["asrkit", *_shown_arguments()],
    )
    if rank is not None:
        die_with(os.getppid())
        check_launch(request.stages, experiment.config.train.processes)
    if status:
        print("\n".join(status_lines(stages, experiment)))
    elif dry_run:
        print("\n".join(dry_run_lines(stages, experiment, request)))
    elif rank:  # the first one runs the stage as always; the others join it there
        if must_run(request.stages[0], experiment, request):
            prepare_processor()
            importlib.import_module(request.stages[0].module).run(experiment)
    else:
        run_stages(stages, experiment, request)


def with_purposes(stages: Sequence[Stage], purposes: Sequence[str]) -> List[Stage]:
    """Stages with what the recipe's run.sh says of them; raises UserError for a stage that isn't one."""
    said = {}
    for line in purposes:
        number, _, rest = line.partition(" ")
        name, _, text = rest.partition(" ")
        if (number, name) not in {(str(stage.number), stage.name) for stage in stages}:
            raise UserError(
                f"run.sh speaks of stage {number} {name}",
                expected=", ".join(f"{stage.number} {stage.name}" for stage in stages),
                where="run.sh of the recipe",
            )
        said[name] = text
    return [dataclasses.replace(stage, purpose=said.get(stage.name, stage.purpose)) for stage in stages]


def _absolute(folder: Path) -> Path:
    return Path(os.path.abspath(folder))


def _shown_arguments() -> List[str]:
    """The command line, without what run.sh adds to say what stages do."""
    words = iter(sys.argv[1:])
    return [word for word in words if word != "--purpose" or not next(words)]
