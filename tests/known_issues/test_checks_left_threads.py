"""A check that computed, as that of train.init_from, left torch's threads behind, and stage average hung."""

import subprocess

from tests.pipeline.toy import Toy

COMPUTING = """
import torch
def compute():
    torch.set_num_threads(2)
    return float((torch.ones(1000, 1000) + 1).sum())
"""


def test_a_stage_computes_after_a_check_that_computed(toy: Toy) -> None:
    toy.write("toykit/computing.py", COMPUTING)
    toy.replace(
        "toykit/count.py",
        "def run(experiment):\n",
        "from toykit.computing import compute\n"
        "def check(config):\n    compute()\n"
        "def run(experiment):\n    print('sum', compute())\n",
    )
    process = toy.start()
    try:
        output, _ = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 0 and "sum 2000000.0" in output
