"""Stage align: durations of the units of training and dev."""

from typing import Any, Dict, List, Tuple

import torch

from asrkit.corpus.rejection import Rejection, list_rejections, refuse_too_many
from asrkit.model.acoustic import load_model
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.progress import Progress
from asrkit.signal.features import load_cuts
from asrkit.storage.files import jsonl_gz_writer
from asrkit.synthesis.durations import align_cuts
from asrkit.text.units import Units, load_units

WITHOUT_UNITS = "words not covered by the units"


def align_splits(experiment: Experiment) -> None:
    """Write align/SPLIT.jsonl.gz and align/rejected.jsonl; raises UserError if too many can't be aligned.

    Utterances with words that have no units, as in dev, are listed there but don't count.
    """
    corpus, folder = experiment.config.corpus, experiment.folder("align")
    units = load_units(experiment.folder("units"))
    model, _ = load_model(experiment.folder("average") / "model.safetensors")
    torch.set_num_threads(1)
    rejections: List[Rejection] = []
    totals: Dict[str, int] = {}
    for split in (corpus.train, corpus.dev):
        cuts, uncovered = _split_covered(_unperturbed(experiment, split), split, units)
        rejections += uncovered
        totals[split] = len(cuts)
        rate, duration = experiment.config.features.sampling_rate, experiment.config.decode.batch_duration
        with jsonl_gz_writer(folder / f"{split}.jsonl.gz") as write, Progress("align", len(cuts)) as bar:
            for cut, timed in align_cuts(model, units, cuts, duration, rate):
                if timed.units:
                    features = cut.features
                    place = {"shard": features.storage_path, "key": features.storage_key}
                    place["shard"] = "features/shards/" + place["shard"].rpartition("/")[2]
                    write(
                        {
                            "id": cut.id,
                            "speaker": timed.speaker,
                            "units": timed.units,
                            "frames": timed.frames,
                            **place,
                        }
                    )
                else:
                    rejections.append(Rejection(cut.id, split, "can't be aligned with its text"))
                bar.advance(cut.duration)
    list_rejections(folder / "rejected.jsonl", rejections, ())
    # OOV words in dev are no defect of the corpus, and stage train skips these utterances, too
    unaligned = [each for each in rejections if each.kind != WITHOUT_UNITS]
    refuse_too_many(unaligned, totals, corpus.max_bad_fraction, folder / "rejected.jsonl")


def _unperturbed(experiment: Experiment, split: str) -> List[Any]:
    """The cuts of a split at their own speed."""
    suffixes = tuple(f"_sp{speed}" for speed in experiment.config.features.speed_factors if speed != 1.0)
    return [cut for cut in load_cuts(experiment, split) if not (suffixes and cut.id.endswith(suffixes))]


def _split_covered(cuts: List[Any], split: str, units: Units) -> Tuple[List[Any], List[Rejection]]:
    """The cuts whose words all have units, the longest first, and the others as rejections."""
    covered: List[Any] = []
    rejections: List[Rejection] = []
    for cut in sorted(cuts, key=lambda cut: (-cut.duration, cut.id)):
        if unknown := units.unknown_words(cut.supervisions[0].text):
            rejections.append(Rejection(cut.id, split, WITHOUT_UNITS, " ".join(unknown)))
        else:
            covered.append(cut)
    return covered, rejections
