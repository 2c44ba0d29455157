"""Words and names that must not come back: the project's text is in the terms of the field."""

import re
import subprocess
from typing import Dict, List

import pytest

from asrkit.pipeline.experiment import REPOSITORY

# Pattern -> what to write in its place. Case is ignored unless the pattern has a capital letter.
RATE = "seconds?|times|bytes|[kMG]B|words|units|frames|hours|errors|loss|multiply-adds|samples|minutes"
PER = "second|frame|word|unit|minute|hour|utterance|step|epoch|process|speaker|line|token"
WORDS = {
    r"\banew\b": "regenerate, restart, retrain, or: again",
    r"\b(?:mend|mends|mended|mending)\b": "fix",
    r"\bparted\b": "separated",
    r"\b(?:said|told) loudly\b": "reported as a WARNING",
    rf"\b(?:{RATE}) an? (?:{PER})\b": "per",
    r"\bmillion numbers\b|\bnumbers of \w+ bytes\b": "parameters",
    r"\bladder\b": "retries, fallbacks",
    r"\bfor want of\b|\bin no count\b": "without; excluded from scoring",
    r"\bfurther (?:texts?|words?)\b": "extra LM text, extra vocabulary",
    r"\bnumber of the process\b|\bprocess that speaks\b": "rank",
    r"\bseconds of the processor\b|\bthe processor's seconds\b": "processor time",
    r"\b(?:go|goes|gone) astray\b": "diverged",
    r"\bby heart\b": "overfit",
    r"\bpassed over\b": "ignored, skipped",
    r"\bone may\b": "writable, readable",
    r"\b(?:ended|used|exited|ignored) without a word\b": "without an error report",
    r"\bfaults? of (?:asrkit|its own)\b": "bug",
    r"\b(?:hears|tells)\b": "logs, prints, reports, warns, detects",
    r"\bsaid (?:once|beforehand|aloud|to be)\b": "reported",
    r"\ba share of each\b|\bby turns\b": "a fraction of each; in turn",
    r"\badded a word\b": "word insertion bonus",
    r"\bWAYS\b": "OUTCOMES",
    r"\bPATIENCE\b": "INIT_TIMEOUT",
    r"\bclass (?:Position|Words)\b|\bPosition\(": "TrainState, PendingWords",
    r"\bdef single\b": "fallback_hypothesis",
    r"\b_(?:tell|say)_\w+": "_report_...",
    r"\b_go_back\b": "_roll_back",
    r"\bwords_outside\b": "project_to_words",
    r"\b(?:read_copies|copy_name|speed_copy)\b": "read_speed_perturbed, speed_perturbed_id",
}
PATTERN = re.compile(
    "|".join(pattern if re.search("[A-Z]", pattern) else f"(?i:{pattern})" for pattern in WORDS)
)
# Generated from corpora, or data; and this file
SKIPPED = re.compile(r"/records/|RESULTS\.md$|lexicon|grammar|LICENSE|tests/test_words\.py$")
READ = re.compile(r"\.(?:py|md|sh|yaml|toml|html|css|js)$|(?:^|/)Makefile$")


def find_hits() -> Dict[str, List[str]]:
    """Lines "file:line: words" by package."""
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    hits: Dict[str, List[str]] = {}
    for name in listed.stdout.splitlines():
        file = REPOSITORY / name
        if not READ.search(name) or SKIPPED.search(name) or not file.exists():
            continue
        for number, line in enumerate(file.read_text("utf-8").splitlines(), start=1):
            text = line.replace("_", " ") if line.startswith("def test_") else line
            found = [match[0] for match in PATTERN.finditer(text)]
            if found:
                package = "/".join(name.split("/")[:2])
                hits.setdefault(package, []).append(f"{name}:{number}: {', '.join(found)}")
    return hits


def test_words_that_the_field_does_not_use_stay_away() -> None:
    lines = [line for _, found in sorted(find_hits().items()) for line in found]
    if lines:
        pytest.fail("write the field's terms (WORDS in this file):\n" + "\n".join(lines), pytrace=False)


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("makes it anew", True),
        ("Amend the settings", False),
        ("5 kB a second of audio", True),
        ("a frame of a second", False),
        ("ladder_beam_factor", False),  # the earlier name of a setting
        ("always", False),
    ],
)
def test_patterns_have_word_boundaries(text: str, hit: bool) -> None:
    assert bool(PATTERN.search(text)) == hit
