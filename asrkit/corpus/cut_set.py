"""Utterances of any lhotse CutSet, as the corpus modules give those of a corpus."""

import dataclasses
import functools
import os
from pathlib import Path
from typing import Any, Iterator, List, Optional, Sequence

from asrkit.corpus.audio import AudioProblem
from asrkit.corpus.utterance import Utterance
from asrkit.errors import UserError


def read_cut_set(file: Path, option: str) -> List[Any]:
    """The cuts of a manifest in any of lhotse's text formats, which `option` names.

    Raises UserError when it can't be read, is empty, or when no cut has a supervision.
    """
    from lhotse import CutSet
    from lhotse.cut import Cut

    try:
        cuts = list(CutSet.from_file(file))
        if not all(isinstance(cut, Cut) for cut in cuts):
            raise TypeError(f"it holds a {type(cuts[0]).__name__}")
    except Exception as error:  # lhotse raises all kinds
        raise UserError(
            f"can't read {file}: {' '.join(str(error).split()) or type(error).__name__}",
            expected="a lhotse CutSet: .jsonl, .jsonl.gz, .json or .yaml",
            where=option,
            todo="check the file with: lhotse validate FILE",
        ) from None
    if not any(cut.supervisions for cut in cuts):
        raise UserError(
            f"none of the {len(cuts)} cuts has a supervision" if cuts else f"{file} holds no cut",
            expected="cuts with one supervision each, whose text is the reference",
            where=str(file),
            todo="join cuts and transcripts first, for example with: lhotse cut simple -s SUPERVISIONS ...",
        )
    return cuts


def cut_utterances(cuts: Sequence[Any], split: str, root: Path) -> Iterator[Utterance]:
    """An utterance of each cut; relative paths count from `root`.

    A cut of a mono recording in one file is taken from there. The audio of any other (mixed,
    padded, perturbed, one channel of several, held in memory) is to be derived.
    """
    for cut in cuts:
        speaker = next((each.speaker for each in cut.supervisions if each.speaker), "unknown")
        text = " ".join(each.text for each in cut.supervisions if each.text)
        plain = Utterance(cut.id, root, text, speaker, split, snr=_signal_to_noise_ratio(cut))
        source = _own_file(cut)
        if source is None:
            yield dataclasses.replace(plain, derive=functools.partial(_write_audio, cut))
        else:
            audio = Path(os.path.abspath(root / source))
            yield dataclasses.replace(plain, audio=audio, start=cut.start, duration=cut.duration)


def _recordings(cut: Any) -> List[Any]:
    tracks = [track.cut for track in cut.tracks] if hasattr(cut, "tracks") else [cut]
    return [track.recording for track in tracks if getattr(track, "recording", None)]


def _own_file(cut: Any) -> Optional[str]:
    """The file that holds the cut's recording and nothing else, where there is one."""
    from lhotse import MonoCut

    if not isinstance(cut, MonoCut) or not cut.has_recording or len(cut.supervisions) != 1:
        return None
    recording = cut.recording
    plain = len(recording.sources) == 1 and recording.num_channels == 1 and not recording.transforms
    return str(recording.sources[0].source) if plain and recording.sources[0].type == "file" else None


def _write_audio(cut: Any, file: Path) -> None:
    """Write what lhotse hears in a cut, in float32; raises AudioProblem for one that can't be used."""
    import soundfile
    from lhotse.audio.backend import LibsndfileBackend, audio_backend
    from lhotse.cut import MixedCut

    if len(cut.supervisions) != 1:
        found = f"found {len(cut.supervisions)}, expected 1; see lhotse cut trim-to-supervisions"
        raise AudioProblem("other than one supervision", found)
    if not cut.has_recording:
        raise AudioProblem("no recording in the cut")
    kinds = {source.type for recording in _recordings(cut) for source in recording.sources}
    if not kinds <= {"file", "memory"}:  # a manifest of a stranger must not run a command of his
        raise AudioProblem("audio of an unusable kind", f"found {', '.join(sorted(kinds))}, expected file")
    try:
        with audio_backend(LibsndfileBackend()):  # for SPHERE lhotse calls sph2pipe else
            samples = cut.load_audio(mono_downmix=True) if isinstance(cut, MixedCut) else cut.load_audio()
    except Exception as error:  # lhotse raises all kinds, with all it knows from the second line on
        raise AudioProblem("not readable audio", str(error).partition("\n")[0]) from None
    if samples.shape[0] != 1:  # (channel, sample)
        raise AudioProblem("more than one channel", f"found {samples.shape[0]}, expected 1")
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, samples[0], cut.sampling_rate, "FLOAT")


def _signal_to_noise_ratio(cut: Any) -> Optional[float]:
    """In dB: the custom field "snr", or what noise was mixed in with."""
    custom = (getattr(cut, "custom", None) or {}).get("snr")
    mixed = [track.snr for track in getattr(cut, "tracks", []) if track.snr is not None]
    known = [value for value in (custom, *mixed) if isinstance(value, (int, float))]
    return float(known[0]) if known else None
