"""torchrun of torch 1.13.1 fails on Python 3.11 before it starts anything: its Std.from_str("0"), for
the default of --redirects and --tee, looks for 0 among the members of a flag, which from 3.11 on don't
list it. -r 9:1 -t 9:1 gets round that: there is no process 9, so nothing is redirected."""

import sys

import pytest
import torch
from torch.distributed.elastic.multiprocessing.api import Std


@pytest.mark.skipif(not torch.__version__.startswith("1."), reason="fixed in torch 2")
@pytest.mark.skipif(sys.version_info < (3, 11), reason="flags list 0 before Python 3.11")
def test_the_defaults_of_torchrun_are_not_understood() -> None:
    assert Std.from_str("0") is None


def test_what_gets_round_it_redirects_nothing() -> None:
    assert Std.from_str("9:1") == {9: Std.OUT}
