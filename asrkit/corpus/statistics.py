"""Counts of each split, what splits have in common, and whether the counts are the published ones."""

import collections
import itertools
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import msgspec
from typing_extensions import Annotated

from asrkit.corpus.rejection import Rejection
from asrkit.corpus.validation import ValidUtterance
from asrkit.errors import UserError
from asrkit.storage.files import read_json

Splits = Mapping[str, Sequence[ValidUtterance]]


def split_statistics(utterances: Sequence[ValidUtterance]) -> Dict[str, Any]:
    """Counts and durations (in seconds) of one split; words are what single spaces part."""
    seconds = [valid.seconds for valid in utterances]
    repeats = len(utterances) - len({_content(valid) for valid in utterances})
    return {
        "utterances": len(utterances),
        "seconds": round(sum(seconds), 3),
        "shortest": round(min(seconds), 3) if seconds else 0.0,
        "longest": round(max(seconds), 3) if seconds else 0.0,
        "speakers": len({valid.utterance.speaker for valid in utterances}),
        "words": sum(len(valid.text.split()) for valid in utterances),
        "characters": sum(len(valid.text.replace(" ", "")) for valid in utterances),
        "vocabulary": len({word for valid in utterances for word in valid.text.split()}),
        "repeated_audio": repeats,
        "sampling_rate": utterances[0].audio.sampling_rate if utterances else 0,
    }


def overlaps(splits: Splits) -> List[Dict[str, Any]]:
    """For each pair of splits: speakers and sentences in both, and utterances of the second they cover."""
    found: List[Dict[str, Any]] = []
    for first, second in itertools.combinations(splits, 2):
        speakers = {valid.utterance.speaker for valid in splits[first]}
        sentences = {valid.text for valid in splits[first]}
        later = splits[second]
        found.append(
            {
                "splits": [first, second],
                "speakers": len(speakers & {valid.utterance.speaker for valid in later}),
                "utterances_of_shared_speakers": sum(valid.utterance.speaker in speakers for valid in later),
                "sentences": len(sentences & {valid.text for valid in later}),
                "utterances_of_shared_sentences": sum(valid.text in sentences for valid in later),
            }
        )
    return found


def refuse_shared_audio(splits: Splits) -> None:
    """Raise UserError when two splits hold the same samples, whatever the files are called."""
    for first, second in itertools.combinations(splits, 2):
        known = {_content(valid): valid.utterance for valid in splits[first]}
        later = {_content(valid): valid.utterance for valid in splits[second]}
        shared = [(known[content], later[content]) for content in later if content in known]
        if shared:
            shown = [f"{one.id} ({one.audio}) and {two.id} ({two.audio})" for one, two in shared[:5]]
            pairs = "".join(f"\n    {pair}" for pair in shown)
            raise UserError(
                f"{len(shared)} utterances of {second} have the same audio as utterances of {first}:{pairs}",
                expected="no audio in two splits: an error rate on it would mean nothing",
                where=f"the corpus's splits {first} and {second}",
                todo="take them out of one of the splits in the corpus or in local/<corpus>.py",
            )


def check_expectations(
    statistics: Mapping[str, Mapping[str, Any]], rejections: Sequence[Rejection], file: Path
) -> str:
    """Compare counts with expect.json; gives a line to print, raises UserError on a mismatch.

    expect.json: {split: {"utterances": n, "words": n, "speakers": n}, ...}, or, where a corpus is
    about in several versions, {"versions": [{"name": ..., "splits": {split: ...}}, ...]}; one of
    them must fit in full. Rejected utterances are counted as lacking.
    """
    if not file.exists():
        return f"note: no {file.name} in {file.parent}, so counts are not compared with published ones"
    differences: List[Tuple[str, List[str]]] = []
    for name, splits in _read_versions(file):
        wrong = [
            f"{split} {count}: found {statistics.get(split, {}).get(count, 0)}, expected {published}"
            for split, counts in splits.items()
            for count, published in counts.items()
            if statistics.get(split, {}).get(count, 0) != published
        ]
        if not wrong:
            return f"counts are those of {name}"
        differences.append((name, wrong))
    name, wrong = min(differences, key=lambda difference: len(difference[1]))
    lost = collections.Counter(f"{rejection.split}, {rejection.kind}" for rejection in rejections)
    explained = "".join(f"\n    rejected: {count} ({what})" for what, count in sorted(lost.items()))
    raise UserError(
        "the corpus isn't complete:" + "".join(f"\n    {line}" for line in wrong) + explained,
        expected=f"the counts of {name}",
        where=str(file),
        todo="fetch the corpus again (stage 0 into an empty --corpus-dir), or, where you changed it "
        "on purpose, correct expect.json",
    )


def _read_versions(file: Path) -> List[Tuple[str, Dict[str, Dict[str, float]]]]:
    """Name and counts of each version in expect.json."""
    expected = read_json(file)
    try:
        if isinstance(expected, dict) and "versions" not in expected:
            expected = {"versions": [{"name": file.name, "splits": expected}]}
        versions = msgspec.convert(expected, _Expectations).versions
    except msgspec.ValidationError as error:
        raise UserError(
            f"{file.name}: {error}",
            expected='{"train": {"utterances": 24, "words": 192, "speakers": 1}, ...}',
            where=str(file),
            todo="correct the file",
        ) from None
    return [(version.name, version.splits) for version in versions]


class _Version(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    splits: Dict[str, Dict[str, float]]


class _Expectations(msgspec.Struct, forbid_unknown_fields=True):
    versions: Annotated[List[_Version], msgspec.Meta(min_length=1)]


def _content(valid: ValidUtterance) -> Tuple[str, int, int]:
    return valid.audio.content, valid.first_sample, valid.samples
