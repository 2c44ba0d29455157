"""Resident memory of this process at its highest."""

import contextlib
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def reset_peak() -> None:
    """Begin anew with what is resident now, where the system lets one; else the peak goes on."""
    with contextlib.suppress(OSError):
        CLEAR.write_text("5")  # proc(5): resets VmHWM


def peak_bytes() -> int:
    """The most bytes since reset_peak, or since the process began."""
    for line in STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no VmHWM in {STATUS}")
