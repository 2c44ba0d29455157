"""This machine: cores, programs, and settings of the CPU libraries before torch is imported."""

import contextlib
import functools
import os
import shutil
import sys
from pathlib import Path
from typing import Optional


def prepare_processor(description: Path = Path("/proc/cpuinfo")) -> None:
    """Let MKL use AVX2 on AMD processors, and limit spinning of idle threads.

    Must be called before torch is imported. OpenMP's threads spin while they wait for work. With another
    program on the same cores that made training 25 times slower; threads that sleep at once made it
    1.4 times slower on idle cores. 30,000 turns are good in both cases.

    MKL 2020.0 in torch 1.13.1 uses its SSE code on processors that aren't Intel's. With MKL_DEBUG_CPU_TYPE=5
    it uses AVX2: float32 matmul went from 43 to 155 GFLOP/s on two cores. Newer MKLs ignore the variable.
    Variables that are already set are kept.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "30000")
    if "MKL_DEBUG_CPU_TYPE" in os.environ:
        return
    try:
        # The first processor is enough; the file is long on large machines
        words = description.read_bytes()[:8192].split()
    except OSError:
        return
    if b"AuthenticAMD" in words and b"avx2" in words:
        os.environ["MKL_DEBUG_CPU_TYPE"] = "5"


def count_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_program(name: str) -> Optional[str]:
    """A program beside this Python or on PATH, or None."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    return shutil.which(name, path=os.pathsep.join(folders))


@functools.lru_cache(maxsize=1)
def processor_name() -> str:
    """The CPU's name, as Linux gives it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return os.uname().machine
