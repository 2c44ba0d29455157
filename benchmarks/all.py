#!/usr/bin/env python3
"""Run the commands of benchmarks/README.md, or those that contain a given word, and list their last lines."""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import List

README = Path(__file__).with_name("README.md")


def commands() -> List[str]:
    """The commands in the table, in its order."""
    return re.findall(r"^\|[^|]*\| `(benchmarks/[^`]*)` \|", README.read_text(encoding="utf-8"), re.MULTILINE)


def main() -> int:
    """Show the commands' output as it comes; those after a failure run all the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="parts of commands, such as an4 or lm_")
    words = parser.parse_args().words
    last_lines = []
    for command in commands():
        if words and not any(word in command for word in words):
            continue
        print(f"==== {command}", flush=True)
        line = ""
        arguments = [sys.executable, *shlex.split(command)]
        with subprocess.Popen(arguments, cwd=README.parent.parent, stdout=subprocess.PIPE, text=True) as run:
            for line in run.stdout or ():
                print(line, end="", flush=True)
        last_lines.append(line.strip() if run.returncode == 0 else f"failed: {command}")
    print("\n".join(["====", *last_lines]))
    return int(not last_lines or any(line.startswith("failed") for line in last_lines))


if __name__ == "__main__":
    sys.exit(main())
