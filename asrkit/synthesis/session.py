"""Stage synthesise: train the network that speaks, and have the recogniser judge it."""

from typing import Any, Dict, List

import torch

from asrkit.corpus.text import normalise_typed
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.machine import count_cores
from asrkit.pipeline.progress import Progress
from asrkit.pipeline.record import read_note
from asrkit.recognise.opening import open_recognizer
from asrkit.recognise.segmentation import SegmentOptions
from asrkit.score.evaluation import evaluate
from asrkit.score.normalisation import normalise_transcripts
from asrkit.score.transcripts import Transcript
from asrkit.signal.normalisation import Normalisation
from asrkit.storage.files import read_jsonl, write_json, write_jsonl
from asrkit.storage.tensors import load_tensors
from asrkit.synthesis.durations import TimedUnits
from asrkit.synthesis.network import SpeechNetwork, Voice, save_voice
from asrkit.synthesis.speaking import VOICE, Speaker, write_sound
from asrkit.synthesis.training import Spoken, train_network
from asrkit.text.units import load_units
from asrkit.train.examples import StoredFeatures


def synthesise(experiment: Experiment) -> None:
    """Write synthesise/: the voice, its training log, spoken test sentences and their word errors."""
    config, folder = experiment.config, experiment.folder("synthesise")
    torch.set_num_threads(config.train.threads or count_cores())
    units = load_units(experiment.folder("units"))
    normalisation, _ = load_tensors(experiment.folder("features") / "normalisation.safetensors")
    statistics = normalisation["mean"], normalisation["inverse_deviation"]
    rows = {split: _read(experiment, split) for split in (config.corpus.train, config.corpus.dev)}
    speakers = sorted({row["speaker"] for row in rows[config.corpus.train]})
    train, dev = ([_spoken(experiment, row, speakers, *statistics) for row in of] for of in rows.values())
    torch.manual_seed(config.synthesis.seed)
    network = SpeechNetwork(config.synthesis, config.features.bins, len(units), len(speakers))
    network.feature_mean.copy_(statistics[0])
    network.feature_inverse_deviation.copy_(statistics[1])
    parameters = sum(weight.numel() for weight in network.parameters())
    print(f"synthesise: {parameters:,} parameters, {len(train)} utterances, {len(speakers)} speakers")
    note = read_note(folder)
    made_of = note.key if note is not None else ""
    train_network(
        network, config.synthesis, train, dev, folder / "checkpoints", made_of, config.features.frame_shift
    )
    save_voice(folder / VOICE, network, config.synthesis, speakers, made_of)
    write_json(
        folder / "results.json",
        judge(experiment, Speaker(Voice(network.eval(), speakers), units, config.features)),
    )


def _read(experiment: Experiment, split: str) -> List[Dict[str, Any]]:
    return read_jsonl(experiment.folder("align") / f"{split}.jsonl.gz")


def _spoken(
    experiment: Experiment, row: Dict[str, Any], speakers: List[str], mean: Any, inverse: Any
) -> Spoken:
    timed = TimedUnits(row["speaker"], row["units"], row["frames"])
    number = speakers.index(timed.speaker) if timed.speaker in speakers else 0  # of dev: any
    place, normalisation = experiment.place(row["shard"]), Normalisation(mean, inverse)
    stored = StoredFeatures(place, row["key"], sum(timed.frames), normalisation)
    return Spoken(timed, number, stored)


def judge(experiment: Experiment, speaker: Speaker) -> List[Dict[str, Any]]:
    """Speak sentences of each test set, write them to audio/SET/ID.flac, and count the recogniser's errors.

    A test speaker that training lacks is spoken by one of training, in turn.
    """
    config, folder = experiment.config, experiment.folder("synthesise")
    torch.set_num_threads(1)
    recognizer = open_recognizer(experiment.directory)
    voices, results = speaker.voice.speakers, []
    for name in config.corpus.tests:
        rows = read_jsonl(experiment.folder("manifests") / f"{name}_supervisions.jsonl.gz")
        transcripts: List[Transcript] = []
        with Progress(f"speaking {name}", min(len(rows), config.synthesis.sentences)) as bar:
            for place, row in enumerate(rows[: config.synthesis.sentences]):
                own = str(row.get("speaker") or "")
                voice = own if own in voices else voices[place % len(voices)]
                text = normalise_typed(row["text"])
                # A word without units is an error of every recogniser of these units
                if not text.split() or speaker.units.unknown_words(text):
                    transcripts.append(Transcript(row["id"], voice, row["text"].split(), []))
                    continue
                samples, rate = speaker.synthesise(text, voice), config.features.sampling_rate
                write_sound(folder / "audio" / name / f"{row['id'].replace('/', '_')}.flac", samples, rate)
                heard = [
                    word.word
                    for segment in recognizer.segments(samples, rate, SegmentOptions(whole=True))
                    for word in segment.words
                ]
                transcripts.append(Transcript(row["id"], voice, row["text"].split(), heard))
                bar.advance(len(samples) / rate)
        results.append(_result(experiment, name, transcripts))
        write_jsonl(folder / f"{name}.jsonl", _rows(transcripts))
    return results


def _rows(transcripts: List[Transcript]) -> List[Dict[str, Any]]:
    return [{"id": t.id, "speaker": t.speaker, "text": t.reference, "hyp": t.hypothesis} for t in transcripts]


def _result(experiment: Experiment, name: str, transcripts: List[Transcript]) -> Dict[str, Any]:
    score = experiment.config.score
    found = evaluate(
        normalise_transcripts(transcripts, score.normalise),
        "word",
        list,
        score.bootstrap_samples,
        score.confidence,
    )
    total = found.total
    rate = 100 * total.errors / max(1, total.reference)
    low, high = found.interval
    print(f"synthesise: {name}: WER {total.errors}/{total.reference} = {rate:.2f} % [{low:.2f}, {high:.2f}]")
    return {
        "set": name,
        "utterances": len(transcripts),
        "errors": total.errors,
        "reference": total.reference,
        "rate": rate,
        "interval": [low, high],
    }
