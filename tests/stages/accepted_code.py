#!/usr/bin/env python3
"""Accept the code of all stages as it is: it makes the results of before, or versions were raised.

accepted_code.json holds a fingerprint of each source file that a stage runs, and each stage's version.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Dict, List

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from asrkit.pipeline.code import code_fingerprints  # noqa: E402
from asrkit.pipeline.experiment import Experiment  # noqa: E402
from asrkit.stages.table import STAGES  # noqa: E402
from asrkit.storage.fingerprint import FingerprintCache  # noqa: E402
from tests.pipeline.toy import settings  # noqa: E402

ACCEPTED = Path(__file__).with_name("accepted_code.json")


def stage_code() -> Dict[str, Dict[str, str]]:
    """Fingerprints of the library's files that each stage runs."""
    with tempfile.TemporaryDirectory() as name:
        experiment = Experiment(settings(), Path(name), Path(name), Path(name), 1)
        cache = FingerprintCache(Path(name))
        return {stage.name: code_fingerprints([stage.module], experiment, cache) for stage in STAGES}


def differences(accepted: Dict[str, Dict[str, object]]) -> Dict[str, List[str]]:
    """Files that have changed, of each stage whose version hasn't."""
    changed: Dict[str, List[str]] = {}
    for stage, files in stage_code().items():
        version = next(each.version for each in STAGES if each.name == stage)
        names = [name for name, value in files.items() if accepted["files"].get(name) != value]
        if names and accepted["versions"].get(stage) == version:
            changed[stage] = names
    return changed


if __name__ == "__main__":
    files = {name: value for code in stage_code().values() for name, value in code.items()}
    versions = {stage.name: stage.version for stage in STAGES}
    python = list(sys.version_info[:2])
    content = {"python": python, "versions": versions, "files": dict(sorted(files.items()))}
    ACCEPTED.write_text(json.dumps(content, indent=1) + "\n")
    print(f"wrote {ACCEPTED.relative_to(REPOSITORY)}: {len(files)} files")
