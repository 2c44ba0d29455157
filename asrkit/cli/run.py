"""asrkit run: the stages of a recipe."""

import json
import os
import sys
from pathlib import Path
from typing import List, Optional, Tuple

import click

from asrkit.config import load_config
from asrkit.pipeline.cluster import KINDS, LOCAL, check_cluster
from asrkit.pipeline.experiment import Experiment, remembered_corpus
from asrkit.pipeline.interruption import die_with
from asrkit.pipeline.machine import count_cores, prepare_processor
from asrkit.pipeline.parallel import check_launch, launched_rank
from asrkit.pipeline.requirements import check_places
from asrkit.pipeline.runner import Request, choose_stages, must_run, run_here, run_stages
from asrkit.pipeline.status import dry_run_lines, status_lines
from asrkit.stages.table import STAGES, make_pipeline

FOLDER = click.Path(path_type=Path)
WEIGHTS = click.Path(exists=True, path_type=Path)
DEVICE = click.Choice(["auto", "cpu", "cuda"])
CORPUS = "that of the last run in EXP, else RECIPE/download"
EPILOG = """Fresh stages are skipped and stale ones run again; the reason is printed. To resume after an
interruption, type the same command again."""


class _Command(click.Command):
    """Lists the recipe's stages below the options."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the stages of run.sh and the epilog."""
        words = sys.argv[1:]
        lines = [words[place + 1] for place, word in enumerate(words[:-1]) if word == "--line"]
        with formatter.section("Stages"):
            formatter.write_dl([(f"{s.number} {s.name}", s.purpose) for s in make_pipeline(lines, STAGES)])
        super().format_epilog(ctx, formatter)


@click.command("run", cls=_Command, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--recipe", required=True, type=FOLDER, metavar="DIR", help="Recipe, a folder with recipe.yaml."
)
@click.option("--stage", metavar="N", help="First stage, by number or name; runs even if it is fresh.")
@click.option("--stop-stage", metavar="N", help="Last stage, by number or name.  [default: the last one]")
@click.option("--status", is_flag=True, help="Print the state of all stages and exit.")
@click.option("--dry-run", is_flag=True, help="Print which stages would run and why, and exit.")
@click.option("--force", is_flag=True, help="Run the chosen stages from scratch, even fresh ones.")
@click.option("--strict", is_flag=True, help="Stages whose code has changed are stale.")
@click.option("--exp", type=FOLDER, metavar="DIR", help="Experiment (output) folder.  [default: RECIPE/exp]")
@click.option("--corpus-dir", type=FOLDER, metavar="DIR", help=f"Corpus folder.  [default: {CORPUS}]")
@click.option(
    "--config", type=FOLDER, metavar="FILE", help="YAML file that overrides settings of recipe.yaml."
)
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Override one setting; may be repeated."
)
@click.option("--partial", is_flag=True, help="Accept an incomplete corpus; results are marked partial.")
@click.option("--init-from", type=WEIGHTS, metavar="FROM", help="Same as --set train.init_from=FROM.")
@click.option("--nj", type=click.IntRange(min=1), metavar="N", help="Parallel jobs.  [default: all cores]")
@click.option(
    "--cluster",
    default=LOCAL,
    envvar="ASRKIT_CLUSTER",
    metavar="WHERE",
    help=f"{KINDS}: where shards are computed.  [default: $ASRKIT_CLUSTER, else {LOCAL}]",
)
@click.option("--device", type=DEVICE, help="Same as --set decode.device=DEVICE.")
@click.option("--debug", is_flag=True, help="Print the traceback of an error.")
@click.option("--line", "lines", multiple=True, hidden=True)  # a stage of run.sh, passed by utils/recipe.sh
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
    cluster: str,
    device: Optional[str],
    debug: bool,
    lines: Tuple[str, ...],
) -> None:
    """Run the stages of a recipe, from audio to word error rate."""
    if partial:
        assignments = (*assignments, "corpus.partial=true")
    if init_from is not None:
        assignments = (*assignments, f"train.init_from={json.dumps(str(_absolute(init_from)))}")
    if device is not None:
        assignments = (*assignments, f"decode.device={device}")
    check_cluster(cluster)
    directory = _absolute(exp or recipe / "exp")
    corpus = corpus_dir or _corpus_of_last_run(directory, recipe / "download") or recipe / "download"
    experiment = Experiment(
        config=load_config(recipe / "recipe.yaml", config, assignments),
        directory=directory,
        corpus_directory=_absolute(corpus),
        recipe_directory=_absolute(recipe),
        jobs=nj or count_cores(),
        cluster=cluster,
    )
    stages, rank = make_pipeline(lines, STAGES), launched_rank()
    check_places(stages, experiment)
    request = Request(
        stages=choose_stages(stages, stage, stop_stage),
        # torchrun's command must name the stage, so there it doesn't mean that a finished one runs again
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
    elif rank:  # rank 0 runs the stage as always; the others join it
        if must_run(request.stages[0], experiment, request):
            prepare_processor()
            run_here(request.stages[0], experiment)
    else:
        run_stages(stages, experiment, request)


def _corpus_of_last_run(directory: Path, default: Path) -> Optional[Path]:
    """The corpus folder of the last run; None if it was RECIPE/download and the project has since moved."""
    remembered = remembered_corpus(directory)
    was_own = remembered is not None and remembered.parts[-2:] == _absolute(default).parts[-2:]
    if was_own and remembered is not None and not remembered.is_dir() and default.is_dir():
        print(f"corpus: {remembered}, used by the last run, is missing; using {default}")
        return None
    return remembered


def _absolute(folder: Path) -> Path:
    return Path(os.path.abspath(folder))


def _shown_arguments() -> List[str]:
    """The command line without the stages that run.sh adds."""
    words = iter(sys.argv[1:])
    return [word for word in words if word != "--line" or not next(words)]
