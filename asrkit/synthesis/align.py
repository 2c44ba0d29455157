"""Stage align: durations of the units of training and dev."""

from typing import Any, Dict, List

import torch

from asrkit.corpus.rejection import Rejection, list_rejections, refuse_too_many
from asrkit.model.acoustic import load_model
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.progress import Progress
from asrkit.signal.features import load_cuts
from asrkit.storage.files import jsonl_gz_writer
from asrkit.synthesis.durations import align_cuts
from asrkit.text.units import load_units


def align_splits(experiment: Experiment) -> None:
    """Write align/SPLIT.jsonl.gz and align/rejected.jsonl; raises UserError if too many can't be aligned."""
    corpus, folder = experiment.config.corpus, experiment.folder("align")
    units = load_units(experiment.folder("units"))
    model, _ = load_model(experiment.folder("average") / "model.safetensors")
    torch.set_num_threads(1)
    rejections: List[Rejection] = []
    totals: Dict[str, int] = {}
    for split in (corpus.train, corpus.dev):
        cuts = sorted(_unperturbed(experiment, split), key=lambda cut: (-cut.duration, cut.id))
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
    refuse_too_many(rejections, totals, corpus.max_bad_fraction, folder / "rejected.jsonl")


def _unperturbed(experiment: Experiment, split: str) -> List[Any]:
    """The cuts of a split at their own speed."""
    suffixes = tuple(f"_sp{speed}" for speed in experiment.config.features.speed_factors if speed != 1.0)
    return [cut for cut in load_cuts(experiment, split) if not (suffixes and cut.id.endswith(suffixes))]
