"""What this processor needs before torch is imported."""

import os
from pathlib import Path


def prepare_processor(description: Path = Path("/proc/cpuinfo")) -> None:
    """Let MKL use AVX2 on AMD processors; must be called before torch is imported.

    The MKL 2020.0 inside torch 1.13.1 picks its SSE code on every processor that isn't
    Intel's. MKL_DEBUG_CPU_TYPE=5 makes it take the AVX2 one: float32 matmul went from 43 to
    155 GFLOP/s on two cores. Newer MKLs ignore the variable; a value that is set is kept.
    """
    if "MKL_DEBUG_CPU_TYPE" in os.environ:
        return
    try:
        # The first processor tells enough; the whole file is long on large machines.
        words = description.read_bytes()[:8192].split()
    except OSError:
        return
    if b"AuthenticAMD" in words and b"avx2" in words:
        os.environ["MKL_DEBUG_CPU_TYPE"] = "5"
