"""A finished experiment written by hand, with audio, posteriors and n-best lists of five utterances."""

from pathlib import Path
from typing import Any, Dict, List, Literal, Tuple

import msgspec
import numpy as np
import pytest
import soundfile
import torch
import yaml

from asrkit.config.recipe import CorpusConfig, DecodeConfig, RecipeConfig, ScoreConfig, UnitsConfig
from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.stages import score
from asrkit.storage.files import write_json, write_jsonl, write_text
from asrkit.text.units import build_units
from tests.storage.json_lines import write_jsonl_gz

# Methods: the one with word times, the one whose n-best lists are stored
FIRST_PASS: Literal["1best"] = "1best"
LISTED: Literal["nbest-oracle"] = "nbest-oracle"
HOSTILE = "</script><script>document.title='broken'</script>"  # a word
REFERENCES = {
    "u1": "GO TO TEN",
    "u2": "STOP NOW",
    "u3": "GO ON",
    "u4": f"SAY {HOSTILE}",
    "u5": "TEN TEN TEN TEN TEN",
}
HYPOTHESES = {**REFERENCES, "u1": "GO TWO TEN", "u2": "STOP", "u3": "GO ON ON"}
SPEAKERS = {"u1": "anna", "u2": "anna", "u3": "ben", "u4": "ben", "u5": "ben"}
RATE = 16000
FRAMES = 25  # of 40 ms


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    """The experiment, scored."""
    return make_experiment(tmp_path / "exp", tmp_path / "corpus", HYPOTHESES)


def make_experiment(folder: Path, corpus: Path, hypotheses: Dict[str, str]) -> Experiment:
    """Write an experiment whose first pass gives some hypotheses for the test set, and dev without errors."""
    config = RecipeConfig(
        name="tiny",
        corpus=CorpusConfig(module="tiny"),
        decode=DecodeConfig(methods=("greedy", FIRST_PASS, LISTED)),
        score=ScoreConfig(bootstrap_samples=50),
    )
    write_text(folder / "recipe.yaml", yaml.safe_dump(msgspec.to_builtins(config)))
    write_text(folder / "stages" / "corpus_dir", f"{corpus}\n")
    made = open_experiment(folder)
    build_units(UnitsConfig(kind="characters"), list(REFERENCES.values()), made.folder("units"))
    write_jsonl_gz(
        made.folder("manifests") / "train_supervisions.jsonl.gz", [{"id": "t1", "text": "GO GO TO TEN"}]
    )
    for split, words in (("dev", REFERENCES), ("test", hypotheses)):
        rows = [
            {"id": key, "speaker": SPEAKERS[key], "text": text, "duration": 1.0}
            for key, text in REFERENCES.items()
        ]
        write_jsonl_gz(made.folder("manifests") / f"{split}_supervisions.jsonl.gz", rows)
        write_jsonl_gz(made.folder("manifests") / f"{split}_cuts.jsonl.gz", [_cut(row) for row in rows])
        _decode(made, split, "greedy", dict.fromkeys(words, "GO"))
        _decode(made, split, FIRST_PASS, words, timed=True)
        _decode(made, split, LISTED, REFERENCES)
    for key in REFERENCES:
        _write_audio(corpus / "audio" / f"{key}.wav")
    _write_shards(made)
    tried = [
        {"lm_scale": lm, "word_bonus": bonus, "errors": errors}
        for lm, bonus, errors in ((0.5, 0.0, 3), (0.5, 1.0, 0), (1.0, 0.0, 4), (1.0, 1.0, 2))
    ]
    weights = {FIRST_PASS: {"lm_scale": 0.5, "word_bonus": 1.0}}
    scales = {"chosen_on": "dev", "weights": weights, "tried": {FIRST_PASS: tried}}
    write_json(made.folder("decode") / "scales.json", scales)
    log = [
        {"epoch": epoch, "train_loss": 2.0 / epoch, "loss": 2.2 / epoch, "errors": 8 // epoch, "words": 14}
        for epoch in (1, 2, 3)
    ]
    write_jsonl(made.folder("train") / "log.jsonl", log)
    score.run(made)
    write_json(folder / "cost.json", {"parameters": 1234567, "stages": {"train": {"seconds": 90.0}}})
    return made


def _cut(row: Dict[str, Any]) -> Dict[str, Any]:
    key, seconds = row["id"], row["duration"]
    place = {"start": 0.0, "duration": seconds, "channel": 0}
    return {
        "id": key,
        **place,
        "supervisions": [
            {"id": key, "recording_id": key, **place, "text": row["text"], "speaker": row["speaker"]}
        ],
        "recording": {
            "id": key,
            "sources": [{"type": "file", "channels": [0], "source": f"audio/{key}.wav"}],
            "sampling_rate": RATE,
            "num_samples": int(RATE * seconds),
            "duration": seconds,
            "channel_ids": [0],
        },
        "type": "MonoCut",
    }


def _decode(
    experiment: Experiment, split: str, method: str, hypotheses: Dict[str, str], timed: bool = False
) -> None:
    rows: List[Dict[str, Any]] = [{"id": key, "hyp": text.split()} for key, text in hypotheses.items()]
    for row in rows if timed else []:
        row["timed"] = [[0.1 + 0.15 * at, 0.1, 0.75] for at in range(len(row["hyp"]))]
    folder = experiment.folder("decode") / split
    write_jsonl(folder / f"hypotheses_{method}.jsonl", rows)
    timing = {"audio_seconds": 5.0, "seconds": 1.0, "fallbacks": {}, "settings": {}}
    write_json(folder / f"timing_{method}.json", timing)


def _write_audio(file: Path) -> None:
    """A second of a tone at 1 kHz."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
        soundfile.write(file, tone, RATE, subtype="PCM_16")


def _write_shards(experiment: Experiment) -> None:
    """Posteriors and n-best lists of the test set, as stage decode writes them."""
    from asrkit.decode.nbest import NBest, write_lists
    from asrkit.decode.shards import write_shard

    units = len((experiment.folder("units") / "units.txt").read_text().splitlines())
    log_probs = torch.full((FRAMES, units), 1e-4)
    log_probs[:, 0] = 0.9
    log_probs[5, 0], log_probs[5, 1], log_probs[5, 2] = 0.25, 0.7, 0.005
    posteriors = {f"log_probs/{key}": log_probs.log() for key in REFERENCES}
    about = {"made_of": "test", "seconds": 1.0, "audio_seconds": 5.0}
    write_shard(experiment.directory / "posteriors" / "test" / "00000.safetensors", posteriors, about)
    lists = {}
    for key, text in REFERENCES.items():
        words = [text.split(), text.split()[:1], text.split()]
        scores = np.array([[-1.0, -2.0, len(words[0])], [-2.0, -1.0, 1.0], [-3.0, -2.0, len(words[0])]])
        lists[f"{LISTED}/{key}"] = NBest(words, scores, "lattice")
    write_lists(experiment.folder("decode") / "test" / "nbest-00000.safetensors", lists, about)


def pairs_of(row: Dict[str, Any]) -> List[Tuple[str, str]]:
    """An utterance's alignment in the first system."""
    return [(reference, hypothesis) for reference, hypothesis in row["systems"][0]["pairs"]]
