"""The command that starts two ranks."""

import socket
import sys
from typing import List


def torchrun(*more: str) -> List[str]:
    """torchrun's command with two ranks, without what they run, at a free port: tests run side by side."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    # why -r and -t: tests/known_issues/test_torchrun.py
    command += ["--monitor_interval", "0.1", "-r", "9:1", "-t", "9:1", "--master_port", str(free_port())]
    return [*command, *more]


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
