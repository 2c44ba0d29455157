"""Utterances of any lhotse CutSet, as the corpus modules give those of a corpus."""

import dataclasses
import os
from pathlib import Path
from typing import Any, List, Optional, Sequence, Tuple

from asrkit.corpus.audio import AudioProblem
from asrkit.corpus.rejection import Rejection
from asrkit.corpus.utterance import Utterance
from asrkit.errors import UserError


def read_cut_set(file: Path) -> List[Any]:
    """The cuts of a manifest in any of lhotse's text formats.

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
            where="--cuts",
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


def cut_utterances(cuts: Sequence[Any], split: str, folder: Path) -> Tuple[List[Utterance], List[Rejection]]:
    """An utterance of each cut, and the cuts that give none.

    A cut of a mono recording in one file is taken from there. The audio of any other (mixed,
    padded, perturbed, one channel of several, held in memory) is written below `folder`.
    """
    utterances: List[Utterance] = []
    rejections: List[Rejection] = []
    for number, cut in enumerate(cuts):
        speaker = next((each.speaker for each in cut.supervisions if each.speaker), "unknown")
        text = " ".join(each.text for each in cut.supervisions if each.text)
        try:
            if len(cut.supervisions) != 1:
                found = f"found {len(cut.supervisions)}, expected 1; see lhotse cut trim-to-supervisions"
                raise AudioProblem("other than one supervision", found)
            plain = Utterance(cut.id, Path(), text, speaker, split, snr=_signal_to_noise_ratio(cut))
            utterances.append(_with_audio(plain, cut, folder / f"{number:06d}.wav"))
        except AudioProblem as problem:
            rejections.append(Rejection(cut.id, split, problem.kind, problem.detail, speaker, text))
    return utterances, rejections


def _with_audio(utterance: Utterance, cut: Any, file: Path) -> Utterance:
    from lhotse import MonoCut

    if not cut.has_recording:
        raise AudioProblem("no recording in the cut")
    tracks = [track.cut for track in cut.tracks] if hasattr(cut, "tracks") else [cut]
    recordings = [track.recording for track in tracks if getattr(track, "recording", None)]
    kinds = {source.type for recording in recordings for source in recording.sources}
    if not kinds <= {"file", "memory"}:  # a manifest of a stranger must not run a command of his
        raise AudioProblem("audio of an unusable kind", f"found {', '.join(sorted(kinds))}, expected file")
    if isinstance(cut, MonoCut) and kinds == {"file"}:
        recording = cut.recording
        if len(recording.sources) == 1 and recording.num_channels == 1 and not recording.transforms:
            audio = Path(os.path.abspath(recording.sources[0].source))
            return dataclasses.replace(utterance, audio=audio, start=cut.start, duration=cut.duration)
    _write_audio(cut, file)
    return dataclasses.replace(utterance, audio=file)


def _write_audio(cut: Any, file: Path) -> None:
    """Write what lhotse hears in a cut, in float32."""
    import soundfile
    from lhotse.audio.backend import LibsndfileBackend, audio_backend
    from lhotse.cut import MixedCut

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
