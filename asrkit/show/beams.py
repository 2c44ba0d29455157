"""Errors on dev for several search beams, from the posteriors that stage decode stored."""

import dataclasses
import time
from typing import Any, Dict, Iterator, List, Sequence

import msgspec
import numpy as np
import torch

from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.score.transcripts import load_transcripts
from asrkit.show import stored


def sweep_beams(experiment: Experiment, beams: Sequence[float]) -> List[Dict[str, Any]]:
    """For each search beam, and the experiment's own: errors on dev and real-time factor of the search.

    The first pass with the scales chosen on dev, on one thread, without the acoustic model and without
    retries by greedy. Raises UserError without k2 or without stored posteriors.
    """
    try:
        from asrkit.decode.paths import list_hypotheses
        from asrkit.decode.search import prepare_graph, search_lattice, skip_blanks
    except ImportError as error:
        raise UserError("k2 is not installed", "k2, which searches", "--beams") from error
    from asrkit.graph.store import load_graph

    dev, config = experiment.config.corpus.dev, experiment.config.decode
    weights = stored.first_pass_weights(experiment)
    method = next((each for each in stored.FIRST_PASS if each in config.methods), "")
    file = experiment.folder("graph") / "HLG.safetensors"
    if not (weights and method and file.exists()):
        raise UserError("no first pass in a graph", f"one of: {', '.join(stored.FIRST_PASS)}", "--beams")
    transcripts = load_transcripts(experiment, dev, method)[0]
    log_probs = {
        key: skip_blanks(torch.from_numpy(found).log(), config.blank_skip_threshold)
        for key, found in stored.iterate_posteriors(experiment, dev, [each.id for each in transcripts])
    }
    if not log_probs:
        raise UserError(f"no posteriors of {dev}", "those that stage decode stores", "posteriors/")
    seconds = sum(each.duration for each in transcripts if each.id in log_probs)
    graph = load_graph(file)
    fst, point = prepare_graph(graph), np.array([list(weights.values())])

    def recognise(beam: float) -> Iterator[Any]:
        changed = msgspec.structs.replace(config, search_beam=beam)
        for transcript in transcripts:
            lattice = None
            if transcript.id in log_probs:
                _, lattice = search_lattice(fst, transcript.id, log_probs[transcript.id], changed)
            words = list_hypotheses(lattice, graph.words, method, point).words[0] if lattice else []
            yield dataclasses.replace(transcript, hypothesis=words, timed=None)

    rows = []
    for beam in sorted({*beams, config.search_beam}):
        begun = time.perf_counter()
        found = list(recognise(beam))
        factor = (time.perf_counter() - begun) / seconds
        total = stored.evaluate_transcripts(experiment, found, experiment.config.score.unit).total
        row = {"beam": beam, "errors": total.errors, "reference": total.reference, "rtf": factor}
        rows.append({**row, "chosen": beam == config.search_beam})
    return rows
