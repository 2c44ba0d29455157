"""The schema of a lhotse CutSet from strangers, with bounds on every number; nothing else reaches lhotse."""

import gzip
import json
import math
import zlib
from pathlib import Path
from typing import Annotated, Any, Dict, Iterator, List, Literal, Optional, Sequence, Tuple, Union

import msgspec
import yaml

from asrkit.corpus.audio import RATES
from asrkit.corpus.validation import MAX_RECORDING
from asrkit.errors import AudioProblem

LONGEST_LINE = 1 << 24  # bytes, decompressed
LARGEST_DOCUMENT = 1 << 28  # bytes of a .json or .yaml file, decompressed
DEEPEST = 100  # nested lists and mappings
LONGEST_MIX = 3600.0  # seconds, total of all tracks
LARGEST_RATIO = 1000.0  # dB
LARGEST_FILTER = 1 << 20  # taps of a resampler; lhotse keeps every resampler in memory

Rate = Annotated[int, msgspec.Meta(ge=RATES.start, lt=RATES.stop)]
Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=MAX_RECORDING)]
Decibels = Annotated[float, msgspec.Meta(ge=-LARGEST_RATIO, le=LARGEST_RATIO)]
Channel = Annotated[int, msgspec.Meta(ge=0, lt=256)]
Channels = Annotated[List[Channel], msgspec.Meta(min_length=1, max_length=256)]


class Supervision(msgspec.Struct):
    """The fields of a supervision that asrkit uses. Times may be any, as they only shorten the cut."""

    text: Optional[str] = None
    speaker: Optional[str] = None
    gender: Optional[str] = None
    custom: Optional[Dict[str, Any]] = None
    start: Optional[float] = None  # seconds from the start of the cut
    duration: Optional[float] = None


class Source(msgspec.Struct):
    """A file, or a command that writes audio to its standard output."""

    type: Literal["file", "command"]
    channels: Channels
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=1 << 16)]


class Recording(msgspec.Struct, omit_defaults=True):
    """A recording and its transforms."""

    id: str
    sources: Annotated[List[Source], msgspec.Meta(min_length=1, max_length=256)]
    sampling_rate: Rate
    num_samples: Annotated[int, msgspec.Meta(ge=0, le=int(MAX_RECORDING) * RATES.stop)]
    duration: Seconds
    channel_ids: Optional[Channels] = None
    transforms: Optional[Annotated[List["Transform"], msgspec.Meta(max_length=8)]] = None


class Options(msgspec.Struct, omit_defaults=True):
    """Arguments of all transforms."""

    factor: Optional[Annotated[float, msgspec.Meta(ge=0.1, le=10.0)]] = None
    source_sampling_rate: Optional[Rate] = None
    target_sampling_rate: Optional[Rate] = None
    hard: Optional[bool] = None
    gain_db: Optional[Decibels] = None
    normalize: Optional[bool] = None
    rir: Optional[Recording] = None
    normalize_output: Optional[bool] = None
    early_only: Optional[bool] = None
    rir_channels: Optional[Channels] = None


class Transform(msgspec.Struct):
    """A transform; those that need other libraries or random numbers aren't supported."""

    name: Literal["Speed", "Volume", "Resample", "Clipping", "ReverbWithImpulseResponse"]
    kwargs: Options


class _Part(msgspec.Struct, omit_defaults=True, kw_only=True):
    id: str
    start: Seconds
    duration: Seconds
    recording: Optional[Recording] = None


class MonoCut(_Part, tag_field="type"):
    """As in lhotse."""

    channel: Channel


class MultiCut(_Part, tag_field="type"):
    """As in lhotse."""

    channel: Channels


class PaddingCut(msgspec.Struct, tag_field="type"):
    """As in lhotse."""

    id: str
    duration: Seconds
    sampling_rate: Rate
    num_samples: int
    feat_value: float = 0.0


class Track(msgspec.Struct, omit_defaults=True):
    """A cut within a mixture."""

    cut: Union[MonoCut, MultiCut, PaddingCut]
    type: str
    offset: Seconds = 0.0
    snr: Optional[Decibels] = None


class MixedCut(msgspec.Struct, omit_defaults=True, tag_field="type"):
    """As in lhotse."""

    id: str
    tracks: Annotated[List[Track], msgspec.Meta(min_length=1, max_length=1000)]
    transforms: Optional[Annotated[List[Transform], msgspec.Meta(max_length=8)]] = None


Cut = Union[MonoCut, MultiCut, MixedCut]


class Row(msgspec.Struct):
    """The fields that every cut must have, even if its audio can't be used."""

    id: str
    type: Literal["MonoCut", "MultiCut", "MixedCut", "PaddingCut", "Cut"]
    supervisions: Optional[List[Supervision]] = None
    custom: Optional[Dict[str, Any]] = None
    tracks: Optional[List["RowTrack"]] = None


class RowTrack(msgspec.Struct):
    """A track of a mixed cut."""

    cut: Row
    snr: Optional[float] = None


class Entry(msgspec.Struct):
    """A cut, or the reason why it can't be used."""

    id: str
    line: int
    supervisions: List[Supervision]
    snr: Optional[float]  # signal-to-noise ratio in dB
    cut: Union[Cut, AudioProblem]
    groups: Sequence[str] = ()  # of speakers, in manifests of asrkit


def read_entries(file: Path) -> Iterator[Entry]:
    """Read a manifest in any of lhotse's text formats; raises ValueError and OSError."""
    for number, data in _read_rows(file):
        place = f"line {number}" if ".jsonl" in file.name else f"cut {number}"
        try:
            _name_types(data)
            row = msgspec.convert(data, Row)
            rows = [row, *(track.cut for track in row.tracks or [])]
            supervisions = [each for of in rows for each in of.supervisions or []]
            known = [(of.custom or {}).get("snr") for of in rows] + [track.snr for track in row.tracks or []]
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{place}: {error}") from None
        try:
            cut: Any = msgspec.convert(data, Cut)
        except (ValueError, RecursionError) as error:
            cut = AudioProblem("unusable cut", f"{place}: {error}")
        snr = next((ratio for ratio in map(_ratio, known) if ratio is not None), None)
        groups = [group for of in rows for group in _texts((of.custom or {}).get("groups"))]
        yield Entry(row.id, number, supervisions, snr, cut, groups)


def _ratio(value: Any) -> Optional[float]:
    """Decibels from a custom field, which may hold anything; None unless they are at most LARGEST_RATIO."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) <= LARGEST_RATIO else None


def _texts(value: Any) -> List[str]:
    """The texts of a list in a custom field, which may be anything."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def recordings(cut: Cut) -> Iterator[Recording]:
    """Every recording of a cut, including impulse responses of its transforms."""
    tracks = [track.cut for track in cut.tracks] if isinstance(cut, MixedCut) else [cut]
    todo = [track.recording for track in tracks if not isinstance(track, PaddingCut) and track.recording]
    todo += [one.kwargs.rir for one in _transforms(cut) if one.kwargs.rir]
    while todo:
        recording = todo.pop()
        todo += [one.kwargs.rir for one in recording.transforms or [] if one.kwargs.rir]
        yield recording


def check_extent(cut: Cut, max_seconds: float) -> None:
    """Raise AudioProblem for a cut that is too long or needs too much memory."""
    tracks = cut.tracks if isinstance(cut, MixedCut) else [Track(cut, "")]
    seconds = max(track.offset + track.cut.duration for track in tracks)
    if seconds > max_seconds:
        raise AudioProblem("too long", f"{seconds:.3f} s, the limit is {max_seconds:g} s")
    if sum(track.cut.duration for track in tracks) > LONGEST_MIX:
        raise AudioProblem("too long", f"{len(tracks)} tracks with more than {LONGEST_MIX:g} s in total")
    transforms = [(one, RATES.stop) for one in _transforms(cut)]
    for recording in recordings(cut):
        transforms += [(one, recording.sampling_rate) for one in recording.transforms or []]
    for transform, rate in transforms:
        options = transform.kwargs
        if transform.name == "ReverbWithImpulseResponse" and options.rir is None:
            raise AudioProblem("unusable cut", "a random room impulse response")
        if transform.name == "Speed" and options.factor is not None:
            _check_resampling(round(rate * options.factor), rate)
        if options.source_sampling_rate and options.target_sampling_rate:
            _check_resampling(options.source_sampling_rate, options.target_sampling_rate)


def _check_resampling(old: int, new: int) -> None:
    if old * new // math.gcd(old, new) ** 2 > LARGEST_FILTER:
        raise AudioProblem(
            "unusable sampling rate", f"resampling from {old} to {new} Hz needs too large a filter"
        )


def _transforms(cut: Cut) -> List[Transform]:
    return (cut.transforms or []) if isinstance(cut, MixedCut) else []


def _name_types(data: Any) -> None:
    """Copy the type of each track into its cut, where msgspec looks for it."""
    if isinstance(data, dict) and data.get("type") == "Cut":  # before lhotse 0.8
        data["type"] = "MonoCut"
    tracks = data.get("tracks") if isinstance(data, dict) else None
    for track in tracks if isinstance(tracks, list) else []:
        if isinstance(track, dict) and isinstance(track.get("cut"), dict):
            track["cut"]["type"] = track.get("type")
            _name_types(track["cut"])
            track["type"] = track["cut"]["type"]


def _read_rows(file: Path) -> Iterator[Tuple[int, Any]]:
    """Number and content of each cut; raises ValueError and OSError."""
    names = file.name.lower().split(".")
    if not file.is_file():
        raise ValueError("no such file" if not file.exists() else "not a file")
    try:
        with gzip.open(file) if names[-1] == "gz" else open(file, "rb") as stream:
            if "jsonl" in names:
                lines = iter(lambda: stream.readline(LONGEST_LINE + 1), b"")
                for number, line in enumerate(lines, start=1):
                    if len(line) > LONGEST_LINE:
                        raise ValueError(f"line {number} is longer than {LONGEST_LINE} bytes")
                    if line.strip():
                        yield number, _parse_json(line, f"line {number}: ")
                return
            content = stream.read(LARGEST_DOCUMENT + 1)
        if len(content) > LARGEST_DOCUMENT:
            raise ValueError(f"more than {LARGEST_DOCUMENT} bytes; use .jsonl for large CutSets")
        rows = _parse_yaml(content) if {"yaml", "yml"} & {*names} else _parse_json(content)
        if not isinstance(rows, list):
            raise ValueError("not a list of cuts")
        yield from enumerate(rows, start=1)
    except (EOFError, zlib.error) as error:
        raise ValueError(f"damaged gzip file: {error}") from None


def _parse_json(content: bytes, place: str = "") -> Any:
    try:
        try:
            return msgspec.json.decode(content)
        except msgspec.DecodeError:  # NaN, as Python writes it
            return json.loads(content)
    except RecursionError:
        raise ValueError(f"{place}too many nested lists and mappings") from None
    except ValueError as error:
        raise ValueError(f"{place}{error}") from None


def _parse_yaml(content: bytes) -> Any:
    """Plain data without aliases, which could expand a short document to a huge one."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    depth = 0
    try:
        for event in yaml.parse(content, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > DEEPEST:
                raise ValueError("aliases" if depth <= DEEPEST else f"more than {DEEPEST} levels")
        return yaml.load(content, Loader=loader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
