"""What a finished experiment has stored, as the page needs it; all that depends on file formats is here."""

import io
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import msgspec
import numpy as np

from asrkit.config.methods import METHODS
from asrkit.corpus.manifests import read_cuts
from asrkit.errors import AudioProblem, UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.score.evaluation import Evaluation, evaluate
from asrkit.score.normalisation import characters, normalise_transcripts, unit_tokeniser
from asrkit.score.transcripts import Transcript, load_transcripts
from asrkit.show.word_graph import WordGraph, of_lattice
from asrkit.signal.audio import read_samples
from asrkit.storage.files import iterate_jsonl, read_json, read_jsonl

# Methods with stored n-best lists, which differ only in a last column; the oracle, a bound, has none
RESCORING = [name for name, each in METHODS.items() if each.rescores_nbest]
LISTED = sorted(RESCORING, key=lambda name: METHODS[name].is_bound)
FIRST_PASS = [name for name, each in METHODS.items() if each.timed]  # times and confidences of words
DRAWN_PATHS = 100  # of a lattice, where no n-best list is stored
LEAST_POSTERIOR = 0.01  # per token and frame; less would be invisible


class Candidate(NamedTuple):
    """A hypothesis of an n-best list: its words, its scores by column, and their weighted sum."""

    words: List[str]
    scores: List[float]
    total: float


class NBestList(NamedTuple):
    """The n-best list of an utterance, the highest total first."""

    method: str
    columns: List[str]
    candidates: List[Candidate]

    def shares(self) -> List[Tuple[List[str], float]]:
        """Words and probability of each: its share of the list's exponentiated totals."""
        finite = [each for each in self.candidates if np.isfinite(each.total)]
        weights = np.exp([each.total - finite[0].total for each in finite])
        return [(each.words, float(weight / weights.sum())) for each, weight in zip(finite, weights)]


class _Text(msgspec.Struct):
    text: Optional[str] = None


def read_log(experiment: Experiment) -> List[Dict[str, Any]]:
    """A row for each epoch of the training: losses, dev errors, learning rate; none where there is no log."""
    file = experiment.folder("train") / "log.jsonl"
    return read_jsonl(file) if file.exists() else []


def read_scales(experiment: Experiment) -> Dict[str, Any]:
    """`chosen_on`, `weights` {method: {name: value}}, `tried` {method: [{name: value, "errors": n}]}."""
    file = experiment.folder("decode") / "scales.json"
    empty: Dict[str, Any] = {"chosen_on": experiment.config.corpus.dev, "weights": {}, "tried": {}}
    return {**empty, **read_json(file, Dict[str, Any])} if file.exists() else empty


def first_pass_weights(experiment: Experiment) -> Dict[str, float]:
    """The weights {name: value} of the first pass that were chosen on dev; none without a graph."""
    weights: Dict[str, Dict[str, float]] = read_scales(experiment)["weights"]
    return next((weights[each] for each in FIRST_PASS if each in weights), {})


def evaluate_method(experiment: Experiment, split: str, method: str, unit: str) -> Evaluation:
    """A decoded set, aligned in a unit: "word", "character" or "unit".

    Its intervals mean nothing: results.json has those.
    """
    return evaluate_transcripts(experiment, load_transcripts(experiment, split, method)[0], unit)


def evaluate_transcripts(experiment: Experiment, transcripts: Sequence[Transcript], unit: str) -> Evaluation:
    """The same for transcripts as they were decoded."""
    if unit == "unit":
        from asrkit.text.units import load_units

        tokenise = unit_tokeniser(load_units(experiment.folder("units")))
    else:
        transcripts = normalise_transcripts(transcripts, experiment.config.score.normalise)
        tokenise = list if unit == "word" else characters
    return evaluate(transcripts, unit, tokenise, samples=1)


def count_training_words(experiment: Experiment) -> Dict[str, int]:
    """How often each word is in the references of the training set."""
    counts: Dict[str, int] = {}
    file = experiment.folder("manifests") / f"{experiment.config.corpus.train}_supervisions.jsonl.gz"
    for row in iterate_jsonl(file, _Text) if file.exists() else ():
        for word in str(row.get("text") or "").split():
            counts[word] = counts.get(word, 0) + 1
    return counts


def frame_step(experiment: Experiment) -> float:
    """Seconds per frame of the posteriors."""
    from asrkit.model.acoustic import subsampling

    return experiment.config.features.frame_shift * subsampling(experiment.config.model)


def read_symbols(experiment: Experiment) -> List[str]:
    """The symbols of the units by id; 0 is the blank."""
    from asrkit.text.units import load_units

    return load_units(experiment.folder("units")).symbols


def iterate_audio(experiment: Experiment, split: str, ids: Iterable[str]) -> Iterator[Tuple[str, bytes]]:
    """Id and FLAC file (16 bits, the recording's own rate) of the utterances whose audio can be read."""
    wanted = set(ids)
    for cut in read_cuts(experiment, split):
        if cut.id in wanted:
            rate = cut.sampling_rate
            source = Path(cut.recording.sources[0].source)
            try:
                samples = read_samples(source, round(cut.start * rate), cut.num_samples)
            except AudioProblem:
                continue
            yield cut.id, encode_flac(samples, rate)


def iterate_synthetic(
    experiment: Experiment, split: str, ids: Iterable[str]
) -> Iterator[Tuple[str, Dict[str, Any], bytes]]:
    """Id, row (speaker, hyp) and FLAC file of the utterances that stage synthesise has spoken, if it has."""
    wanted, folder = set(ids), experiment.folder("synthesise")
    file = folder / f"{split}.jsonl"
    for row in read_jsonl(file) if file.exists() else []:
        audio = folder / "audio" / split / f"{row['id'].replace('/', '_')}.flac"
        if row["id"] in wanted and audio.is_file():
            yield row["id"], row, audio.read_bytes()


def encode_flac(samples: np.ndarray, rate: int) -> bytes:
    """A FLAC file with 16 bits of float samples (sample,) in -1 to 1; exact where they were 16-bit PCM."""
    import soundfile

    stream = io.BytesIO()
    integers = np.clip(np.round(samples * 32768.0), -32768, 32767).astype(np.int16)
    soundfile.write(stream, integers, rate, format="FLAC", subtype="PCM_16")
    return stream.getvalue()


def iterate_posteriors(
    experiment: Experiment, split: str, ids: Iterable[str]
) -> Iterator[Tuple[str, np.ndarray]]:
    """Id and probabilities (frame, unit), float32, of the utterances whose posteriors are still stored."""
    from asrkit.decode.shards import read_shard

    wanted = {f"log_probs/{key}": key for key in ids}
    for file in sorted((experiment.directory / "posteriors" / split).glob("*.safetensors")):
        tensors, _ = read_shard(file)
        for name in sorted(wanted.keys() & tensors.keys()):
            yield wanted[name], tensors[name].float().exp().numpy()


def iterate_nbest(experiment: Experiment, split: str, ids: Iterable[str]) -> Iterator[Tuple[str, NBestList]]:
    """Id and n-best list: that of the first method of LISTED, else paths drawn from the stored lattice."""
    wanted, first_pass = set(ids), first_pass_weights(experiment)
    decoded = experiment.config.decode.methods
    method = next((each for each in LISTED if each in decoded), "")
    if method:
        weights = read_scales(experiment)["weights"].get(method) or first_pass
        yield from _stored_nbest(experiment, split, wanted, method, weights)
    elif first_pass and any(each in decoded for each in FIRST_PASS):
        yield from _drawn_nbest(experiment, split, wanted, first_pass)


def _stored_nbest(
    experiment: Experiment, split: str, ids: Iterable[str], method: str, weights: Dict[str, float]
) -> Iterator[Tuple[str, NBestList]]:
    from asrkit.decode.shards import read_shard

    wanted = {f"{method}/{key}": key for key in ids}
    for file in sorted((experiment.folder("decode") / split).glob("nbest-*.safetensors")):
        tensors, about = read_shard(file)
        for name in sorted(wanted.keys() & tensors.keys()):
            yield wanted[name], rank(method, about["rows"][name]["words"], tensors[name].numpy(), weights)


def _drawn_nbest(
    experiment: Experiment, split: str, ids: Iterable[str], weights: Dict[str, float]
) -> Iterator[Tuple[str, NBestList]]:
    from asrkit.text.units import read_symbols as read_table

    symbols = read_table(experiment.folder("units") / "words.txt")
    threshold = experiment.config.decode.blank_skip_threshold
    points = np.array([list(weights.values())])
    for key, lattice, log_probs in _iterate_lattices(experiment, split, ids):
        from asrkit.decode.paths import draw_hypotheses, list_hypotheses
        from asrkit.decode.search import skip_blanks

        searched = skip_blanks(log_probs, threshold)  # the lattice has only these frames
        drawn = draw_hypotheses(lattice, searched, DRAWN_PATHS)
        found = list_hypotheses(lattice, symbols, "lattice", points, drawn)
        yield key, rank("lattice", found.words, found.scores, weights)


def iterate_graphs(experiment: Experiment, split: str, ids: Iterable[str]) -> Iterator[Tuple[str, WordGraph]]:
    """Id and word graph, places in seconds, of the utterances with a stored lattice; needs chosen scales."""
    from asrkit.text.units import read_symbols as read_table

    symbols = read_table(experiment.folder("units") / "words.txt")
    threshold = experiment.config.decode.blank_skip_threshold
    weights, step = first_pass_weights(experiment), frame_step(experiment)
    for key, lattice, log_probs in _iterate_lattices(experiment, split, ids if weights else ()):
        from asrkit.decode.search import kept_frames

        words = lattice.aux_labels.numpy()
        scores = lattice.acoustic_scores.double() + weights["lm_scale"] * lattice.lm_scores.double()
        scores = scores.numpy() + weights["word_bonus"] * (words > 0)
        # The search skipped frames of blanks; the arcs to the end are after the last frame
        frames = np.flatnonzero(kept_frames(log_probs, threshold).numpy())
        arcs, places = lattice.arcs.values()[:, :2].numpy(), lattice.frame.numpy()
        graph = of_lattice(arcs, words, scores, places, symbols)
        times = np.array([0, *(frames + 1), len(log_probs)]) * step  # of place -1, 0, ..., the end
        nodes = [
            node._replace(place=float(np.interp(node.place, np.arange(len(times)) - 1, times)))
            for node in graph.nodes
        ]
        yield key, graph._replace(nodes=nodes)


def _iterate_lattices(
    experiment: Experiment, split: str, ids: Iterable[str]
) -> Iterator[Tuple[str, Any, Any]]:
    """Id, lattice (k2.Fsa) and log-probabilities (frame, unit); nothing without k2."""
    try:
        from asrkit.decode.search import read_lattices
    except ImportError:
        return
    from asrkit.decode.shards import read_shard

    wanted = set(ids)
    for file in sorted((experiment.directory / "lattices" / split).glob("*.safetensors")):
        posteriors, _ = read_shard(experiment.directory / "posteriors" / split / file.name)
        for key, searched in read_lattices(file).items():
            if key in wanted and searched.lattice is not None:
                yield key, searched.lattice, posteriors[f"log_probs/{key}"].float()


def rank(
    method: str, hypotheses: Sequence[List[str]], scores: np.ndarray, weights: Dict[str, float]
) -> NBestList:
    """Hypotheses by their weighted scores (hypothesis, column), each word sequence once at its best.

    The columns are the acoustic score, the language model's, the number of words, then one for each
    further weight; `weights` are those of the columns after the first, in order.
    """
    columns = ["acoustic", "language model", "words", *[name[: -len("_scale")] for name in [*weights][2:]]]
    with np.errstate(invalid="ignore"):  # an infinite score whose weight is 0
        totals = scores[:, 0] + scores[:, 1 : 1 + len(weights)] @ np.array(list(weights.values()))
    totals = np.nan_to_num(totals, nan=-np.inf, neginf=-np.inf)
    best: Dict[Tuple[str, ...], Candidate] = {}
    for index in np.argsort(-totals, kind="stable").tolist():
        row = [float(score) for score in scores[index, : len(columns)]]
        hypothesis = hypotheses[index]
        best.setdefault(tuple(hypothesis), Candidate(list(hypothesis), row, float(totals[index])))
    return NBestList(method, columns, list(best.values()))


def refuse_unscored(experiment: Experiment) -> None:
    """Raise UserError for an experiment without results."""
    if not (experiment.directory / "results.json").exists():
        raise UserError(
            f"{experiment.directory} has no results yet",
            expected="results.json, which stage score writes",
            where=str(experiment.directory),
            todo="finish it: run.sh",
        )
