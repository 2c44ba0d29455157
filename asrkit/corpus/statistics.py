"""Counts per split, overlap between splits, and comparison with the published counts."""

import collections
import itertools
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import msgspec
from typing_extensions import Annotated

from asrkit.config import CorpusConfig
from asrkit.corpus.rejection import Rejection
from asrkit.corpus.validation import ValidUtterance
from asrkit.errors import UserError
from asrkit.storage.files import read_json

Splits = Mapping[str, Sequence[ValidUtterance]]
_Pair = Tuple[ValidUtterance, ValidUtterance]
GIVEN = CorpusConfig(module="")  # all splits are the corpus's own
HOURS_TOLERANCE = 0.1  # published hours have one decimal, and some are truncated instead of rounded


class Completeness(NamedTuple):
    """Result of the comparison with expect.json."""

    line: str  # for the terminal
    partial: Optional[str] = None  # "368 of 34,098 utterances"; None: complete, or nothing to compare with


class Version(msgspec.Struct, forbid_unknown_fields=True):
    """A published version of a corpus: counts by subset."""

    name: str
    splits: Dict[str, Dict[str, Union[int, float]]]


class _Expectations(msgspec.Struct, forbid_unknown_fields=True):
    versions: Annotated[List[Version], msgspec.Meta(min_length=1)]


def split_statistics(utterances: Sequence[ValidUtterance]) -> Dict[str, Any]:
    """Counts and durations (in seconds) of one split; words are whitespace tokens."""
    seconds = [valid.seconds for valid in utterances]
    return {
        "utterances": len(utterances),
        "seconds": round(sum(seconds), 3),
        "shortest": round(min(seconds, default=0.0), 3),
        "longest": round(max(seconds, default=0.0), 3),
        "speakers": len({valid.utterance.speaker for valid in utterances}),
        "words": sum(len(valid.text.split()) for valid in utterances),
        "characters": sum(len(valid.text.replace(" ", "")) for valid in utterances),
        "vocabulary": len({word for valid in utterances for word in valid.text.split()}),
        "repeated_audio": len(utterances) - len({_content(valid) for valid in utterances}),
        "sampling_rate": utterances[0].audio.sampling_rate if utterances else 0,
    }


def overlaps(splits: Splits) -> List[Dict[str, Any]]:
    """Speakers and sentences shared by each pair of splits, and utterances of the second that have them."""
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


def refuse_shared_audio(splits: Splits, config: CorpusConfig = GIVEN) -> None:
    """Raise UserError if two splits share more than half of the audio of an utterance, in any files.

    `config`: how splits were made, for the advice.
    """
    for first, second in itertools.combinations(splits, 2):
        shared = _find_shared(splits[first], splits[second])
        if shared:
            pairs = "".join(f"\n    {_place(one)} and {_place(two)}" for one, two in shared[:5])
            raise UserError(
                f"{len(shared)} utterances of {second} share more than half of their audio with utterances "
                f"of {first}:{pairs}",
                "no audio in two splits: error rates on training data mean nothing",
                f"the corpus's splits {first} and {second}",
                _advice_on_shared((first, second), config),
            )


def _advice_on_shared(pair: Tuple[str, str], config: CorpusConfig) -> str:
    """What to do about the audio that a pair of splits shares."""
    by_speaker = "all speakers of some recordings, and no others"
    if config.dev_speakers and config.dev in pair:
        return f"choose {by_speaker}: --set 'corpus.dev_speakers=[ID, ...]'"
    held_out = [split for split in pair if split in config.held_out]
    if not held_out:
        return "remove them from one of the splits, in the corpus or in local/<corpus>.py"
    # Speakers of a meeting overlap in one recording, so splits by speaker share audio
    todo = "divide the corpus into sets by recording (in a table, with the column split)"
    if config.dev in held_out:
        others = ",".join(split for split in config.held_out if split != config.dev)
        settings = f"--set 'corpus.held_out=[{others}]' --set 'corpus.dev_speakers=[ID, ...]'"
        todo = f"{todo}; or choose for {config.dev} {by_speaker}: {settings}"
    return f"{' and '.join(held_out)} were held out by speaker (corpus.held_out): {todo}"


def _find_shared(first: Sequence[ValidUtterance], second: Sequence[ValidUtterance]) -> List[_Pair]:
    """Pairs of utterances that share audio: each such utterance of `second` once, with one of `first`."""
    known: Dict[str, Dict[Tuple[int, int], ValidUtterance]] = {two.audio.content: {} for two in second}
    for one in first:
        if one.audio.content in known:
            known[one.audio.content].setdefault((one.first_sample, one.samples), one)
    later: Dict[str, List[ValidUtterance]] = {content: [] for content, of in known.items() if of}
    for two in second:
        if two.audio.content in later:
            later[two.audio.content].append(two)
    found: Dict[str, ValidUtterance] = {}
    for content, of in later.items():
        found.update(_sweep(list(known[content].values()), of))
    return [(found[two.utterance.id], two) for two in second if two.utterance.id in found]


def _sweep(first: Sequence[ValidUtterance], second: Sequence[ValidUtterance]) -> Dict[str, ValidUtterance]:
    """Map ids of `second` to an utterance of `first` that shares more than half of the shorter one.

    All are segments of one recording. They are visited by start time and compared only with those that
    haven't ended by then, since comparing all pairs would take too long for long recordings.
    """
    found: Dict[str, ValidUtterance] = {}
    running: Tuple[List[ValidUtterance], List[ValidUtterance]] = ([], [])
    events = [(one, 0) for one in first] + [(two, 1) for two in second]
    for one, side in sorted(events, key=lambda event: event[0].first_sample):
        others = [each for each in running[1 - side] if _end(each) > one.first_sample]
        shared = [each for each in others if _is_shared(each, one)]
        if side == 0:
            found.update((two.utterance.id, one) for two in shared)
            running[1][:] = [two for two in others if two.utterance.id not in found]
        else:
            running[0][:] = others
        if shared and side == 1:
            found[one.utterance.id] = shared[0]
        else:
            running[side].append(one)
    return found


def _is_shared(one: ValidUtterance, two: ValidUtterance) -> bool:
    """Whether segments of one recording have more than half of the shorter one in common."""
    common = min(_end(one), _end(two)) - max(one.first_sample, two.first_sample)
    return 2 * common > min(one.samples, two.samples)


def _end(valid: ValidUtterance) -> int:
    return valid.first_sample + valid.samples


def _place(valid: ValidUtterance) -> str:
    """Id, file and, for a part of the file, start and end in seconds."""
    rate = valid.audio.sampling_rate
    times = f", {valid.first_sample / rate:.2f} to {_end(valid) / rate:.2f} s"
    is_whole = valid.samples == valid.audio.samples
    return f"{valid.utterance.id} ({valid.utterance.audio}{'' if is_whole else times})"


def read_versions(file: Path) -> List[Version]:
    """The published versions in expect.json.

    {"train": {"utterances": n, "words": n, "speakers": n, "hours": h}, ...}, or if there are several versions
    of the corpus, {"versions": [{"name": ..., "splits": {"train": ...}}, ...]}.
    """
    expected = read_json(file)
    try:
        if isinstance(expected, dict) and "versions" not in expected:
            expected = {"versions": [{"name": file.name, "splits": expected}]}
        return msgspec.convert(expected, _Expectations).versions
    except msgspec.ValidationError as error:
        example = '{"train": {"utterances": 24, "words": 192, "speakers": 1}, ...}'
        raise UserError(f"{file.name}: {error}", example, str(file), "correct the file") from None


def check_expectations(
    statistics: Mapping[str, Mapping[str, Any]],
    rejections: Sequence[Rejection],
    file: Path,
    partial: bool = False,
) -> Completeness:
    """Compare the counts of the used subsets with expect.json; raises UserError on a mismatch.

    All counts of one version must match; with `partial` none may be higher. Rejected utterances count as
    missing.
    """
    if not file.exists():
        return Completeness(f"note: no {file.name} in {file.parent}, so counts are not compared")
    versions = [
        (version.name, {name: counts for name, counts in version.splits.items() if name in statistics})
        for version in read_versions(file)
    ]
    compared = [(version, sets) for version, sets in versions if sets]
    if not compared:
        return Completeness(f"note: {file.name} has no counts of {', '.join(statistics)}")
    version, sets = min(compared, key=lambda pair: len(_differences(pair[1], statistics)))
    wrong = _differences(sets, statistics)
    if not wrong:
        others = ", ".join(name for name in statistics if name not in sets)
        note = f"; it has no counts of {others}" if others else ""
        return Completeness(f"counts match {version}{note}")
    too_many = bool(_differences(sets, statistics, more_only=True))
    if partial and not too_many:
        published = {name: counts["utterances"] for name, counts in sets.items() if "utterances" in counts}
        present = sum(statistics[name]["utterances"] for name in published)
        found = f"{present:,} of {sum(published.values()):,} utterances"
        return Completeness("\n    ".join([f"partial: {found} of {version}", *wrong]), found)
    lost = collections.Counter(f"{rejection.split}, {rejection.kind}" for rejection in rejections)
    lines = wrong + [f"rejected: {count} ({what})" for what, count in sorted(lost.items())]
    found = "the corpus isn't complete"
    todo = "fetch the corpus again (stage download, into an empty --corpus-dir), accept it with --partial, "
    todo += f"or if you changed it on purpose, correct {file.name}"
    if too_many:
        found = "the corpus has more than expected"
        todo = f"remove what isn't part of the corpus, or if nothing is wrong, correct {file.name}"
    found += ":" + "".join(f"\n    {line}" for line in lines)
    raise UserError(found, f"the counts of {version}", str(file), todo)


def _differences(
    expected: Mapping[str, Mapping[str, Union[int, float]]],
    statistics: Mapping[str, Mapping[str, Any]],
    more_only: bool = False,
) -> List[str]:
    """Lines for the counts that differ; with `more_only`, those that are higher than expected."""
    wrong: List[str] = []
    for name, counts in expected.items():
        of = statistics[name]
        if not of["utterances"]:
            wrong += [] if more_only else [f"{name}: absent"]
            continue
        for count, published in counts.items():
            found = round(of["seconds"] / 3600, 2) if count == "hours" else of.get(count, 0)
            allowed = HOURS_TOLERANCE if count == "hours" else 0
            if found - published > allowed or (published - found > allowed and not more_only):
                wrong.append(f"{name} {count}: found {found:,}, expected {published:,}")
    return wrong


def _content(valid: ValidUtterance) -> Tuple[str, int, int]:
    return valid.audio.content, valid.first_sample, valid.samples
