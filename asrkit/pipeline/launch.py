"""Processes that torchrun started to train one model, told from the environment that it gives them."""

import os
from typing import Optional, Sequence

from asrkit.errors import UserError
from asrkit.pipeline.stage import Stage


def launched_rank() -> Optional[int]:
    """This process's number among those that torchrun started, on all machines; None without torchrun."""
    if {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= os.environ.keys():
        return int(os.environ["RANK"])
    return None


def check_launch(stages: Sequence[Stage], processes: int) -> None:
    """Raise UserError unless stage train alone is chosen, with as many processes as torchrun started."""
    size = int(os.environ["WORLD_SIZE"])
    if [stage.name for stage in stages] != ["train"]:
        raise UserError(
            f"torchrun started {size} processes for stages {stages[0].number} to {stages[-1].number}",
            expected="stage train alone: the others run on one machine, without torchrun",
            where="the command line",
            todo="the earlier ones first, then torchrun --no_python run.sh --stage train --stop-stage train",
        )
    if size != processes:
        raise UserError(
            f"torchrun started {size} processes, and train.processes is {processes}",
            expected="the same number: batches are planned for it",
            where="train.processes, or torchrun's --nnodes and --nproc_per_node",
            todo=f"--set train.processes={size}",
        )
