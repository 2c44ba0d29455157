"""Errors and speed of the search on dev at several beams, from the posteriors that stage decode kept."""

import time
from typing import Any, Dict, List, Sequence

import kaldialign
import msgspec
import numpy as np

from asrkit.decode.methods import UtteranceDecoder
from asrkit.decode.posteriors import read_posteriors
from asrkit.decode.splits import SplitDecoder
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.score.transcripts import load_transcripts
from asrkit.show.stored import read_scales


def sweep_beams(experiment: Experiment, beams: Sequence[float]) -> Dict[str, Any]:
    """Word errors and real-time factor of 1best at each search beam, with the weights chosen on dev.

    Raises UserError without that method or without posteriors.
    """
    dev, weights = experiment.config.corpus.dev, read_scales(experiment)["weights"].get("1best")
    files = sorted((experiment.directory / "posteriors" / dev).glob("*.safetensors"))
    if weights is None or not files:
        found = "no posteriors of dev" if weights else "1best was not decoded"
        raise UserError(found, "an experiment decoded by 1best", "--beams", "run.sh --stage decode")
    decoder = SplitDecoder(experiment).decoder
    shards = [read_posteriors(file) for file in files]
    references = {each.id: each.reference for each in load_transcripts(experiment, dev, "1best")[0]}
    point = np.array([[weights["lm_scale"], weights["word_bonus"]]])
    points: List[Dict[str, float]] = []
    for beam in sorted(beams):
        config = msgspec.structs.replace(decoder.config, search_beam=beam, methods=("1best",))
        narrowed = UtteranceDecoder(config, decoder.units, decoder.graph, decoder.files)
        errors, started = 0, time.monotonic()
        for shard in shards:
            for key, log_probs in shard.log_probs.items():
                nbest, _ = narrowed.decode(key, log_probs, {"1best": point})["1best"]
                errors += kaldialign.edit_distance(references[key], nbest.best(point[0]))["total"]
        audio = sum(shard.audio_seconds for shard in shards)
        points.append({"beam": beam, "errors": errors, "rtf": (time.monotonic() - started) / audio})
    return {"set": dev, "words": sum(map(len, references.values())), "points": points}
