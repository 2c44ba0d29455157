"""Open a finished experiment or a bundle as a recogniser."""

import copy
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Sequence

import msgspec
import numpy as np
import torch
from torch import Tensor

from asrkit.config import RecipeConfig
from asrkit.config.methods import METHODS, RENAMED, current_method
from asrkit.config.recipe import STREAM_CHUNK
from asrkit.config.symbols import BLANK
from asrkit.decode.methods import UtteranceDecoder
from asrkit.decode.nbest import NBest
from asrkit.decode.splits import SplitDecoder
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel, subsampling
from asrkit.model.device import in_float32
from asrkit.model.streaming import StreamingModel
from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.pipeline.finished import refuse_changed_model
from asrkit.recognise.bundle import DESCRIPTION, Bundle, checked_file, open_bundle
from asrkit.recognise.forced_alignment import align_words
from asrkit.recognise.recognizer import Encoded, Found, Greedy, Recognizer, Searcher
from asrkit.recognise.stream import StreamRecognizer
from asrkit.recognise.transcript import Word
from asrkit.signal.filterbank import FilterBank
from asrkit.storage.files import read_json
from asrkit.text.bpe import read_pieces
from asrkit.text.digits import script_language, write_digits
from asrkit.text.lexicon import read_lexicon
from asrkit.text.units import Units, character_spelling, read_symbols

if TYPE_CHECKING:
    from asrkit.graph.store import DecodingGraph


def one_of(exp: Optional[Path], model: Optional[Path]) -> Path:
    """The experiment or the bundle that a command is given; raises UserError for none, and for both."""
    place = exp or model
    if place is None or (exp is not None and model is not None):
        found = "no model" if place is None else "both --exp and --model"
        expected = "one of --exp EXP and --model BUNDLE"
        raise UserError(found, expected, "the command line", "--exp EXP, a finished experiment's folder")
    return place


def open_recognizer(place: Path, method: Optional[str] = None, device: str = "cpu") -> Recognizer:
    """Open an experiment with one of its decoding methods, or a bundle with greedy or 1best.

    `method`: by default 1best if there is a graph, else greedy. Raises UserError for a folder that is
    neither, and for a method that was not run or is unknown.
    """
    if (place / DESCRIPTION).exists():
        if device != "cpu":
            found, todo = f"--device {device} with a bundle", "leave --device out, or give --exp instead"
            raise UserError(found, "cpu, because bundles run only there", "--device", todo)
        return _open_bundle(place, method)
    bank, model, searcher, units, step = _open_experiment(open_experiment(place), method)
    return Recognizer(bank, TorchEncoder(model, device), searcher, units, step)


def can_stream(place: Path) -> bool:
    """Whether it is an experiment that was trained with train.chunk."""
    return not (place / DESCRIPTION).exists() and open_experiment(place).config.train.chunk is not None


def guess_language(place: Path) -> str:
    """Guess the language of an experiment or bundle by the script of its words: zh or en."""
    is_bundle = (place / DESCRIPTION).exists()
    folder = place if is_bundle else open_experiment(place).folder("units")
    file = folder / "lexicon.txt"
    if is_bundle:
        checked_file(place, open_bundle(place), file.name)
    return script_language(" ".join(entry.word for entry in read_lexicon(file)))


def refuse_whole_utterances(experiment: Experiment) -> None:
    """Raise UserError unless the model was trained for streams."""
    if experiment.config.train.chunk is None:
        found, where = "the model was trained without train.chunk", str(experiment.directory)
        todo = "train with --set train.chunk=25 --set model.convolution_causal=true"
        raise UserError(found, "a model for streams", where, todo)


def optional_silence(config: RecipeConfig) -> Optional[str]:
    """The unit, other than blank, that the model may output between words; None if there is none."""
    return config.graph.optional_silence or config.train.optional_silence


def streaming_model(model: AcousticModel, chunk: float, step: float) -> StreamingModel:
    """The model for chunks of about `chunk` seconds, at least one frame; `step`: seconds per frame."""
    return StreamingModel(model, max(1, round(chunk / step)))


def open_stream_recognizer(
    place: Path,
    method: Optional[str] = None,
    chunk: float = STREAM_CHUNK,
    digits: Optional[str] = None,
) -> StreamRecognizer:
    """Open an experiment that was trained with train.chunk, for chunks of `chunk` seconds.

    `method` finds the final words of each utterance; `digits`: language of the numbers that are written in
    digits. Raises UserError for a model that doesn't stream.
    """
    if (place / DESCRIPTION).exists():
        todo = "--exp EXP; sherpa-onnx streams a bundle of asrkit export --streaming"
        raise UserError("a bundle", "an experiment, to recognise streams", str(place), todo)
    experiment = open_experiment(place)
    refuse_whole_utterances(experiment)
    if method in METHODS and METHODS[method].encoder_output:
        expected = "a method that needs no encoder output"
        raise UserError(f"method {method}", expected, "--method", "--method 1best")
    bank, model, searcher, units, step = _open_experiment(experiment, method)
    silence = (BLANK,) if units.silence is None else (BLANK, units.silence)
    streaming = streaming_model(model, chunk, step)
    if digits:
        write_digits("ten 十一", digits)  # a missing package is reported now
    return StreamRecognizer(streaming, bank, searcher, units, step, silence=silence, digits=digits)


class TorchEncoder:
    """The acoustic model in PyTorch on a device: the given model on the CPU, a copy on another device."""

    def __init__(self, model: AcousticModel, device: str) -> None:
        # Methods such as attention-decoder also use the given model, and search on the CPU
        own = model if device == "cpu" else copy.deepcopy(model)
        try:
            self._model = own.to(in_float32(torch.device(device))).eval()
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            expected = "cpu, or cuda if there is a GPU"
            todo = "leave --device out, for the CPU; asrkit doctor shows the GPU"
            raise UserError(f"device {device}: {reason}", expected, "--device", todo) from None
        self._device = device

    @torch.no_grad()
    def __call__(self, features: Tensor, lengths: Tensor) -> Encoded:
        """Encode features (utterance, time, bin) of lengths (utterance,)."""
        lengths = lengths.to(self._device)
        normalised = self._model.normalise(features.to(self._device), lengths)
        encoded, log_probs, frames = self._model.encode(normalised, lengths)
        # In half precision, as stage decode stores them, so that transcripts are the same as with
        # decode.precision: float32
        halved = log_probs.float().clamp(min=torch.finfo(torch.float16).min).half()
        return Encoded(halved.float().cpu(), frames.cpu(), encoded.float().cpu())


class OnnxEncoder:
    """The acoustic model of a bundle, in onnxruntime on the CPU."""

    def __init__(self, file: Path, bundle: Bundle) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise UserError(
                "the package onnxruntime is missing",
                "the extra [use]",
                "a bundle's model.onnx",
                "pip install -e '.[use]'",
            ) from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
        try:  # from memory: a model in memory can't name other files
            self._session = onnxruntime.InferenceSession(file.read_bytes(), options, ["CPUExecutionProvider"])
            inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
            shapes = inputs[0].shape[-1], len(inputs), outputs[0].shape[-1], len(outputs)
        except Exception as error:
            raise UserError(
                f"{file.name} is no model: {str(error).splitlines()[0]}",
                "ONNX with x (N, T, C), x_lens (N) to log_probs (N, T', V), lens (N)",
                str(file),
                "export the bundle again",
            ) from None
        expected = bundle.features.bins, 2, bundle.tokens, 2
        if shapes != expected:
            found = f"{file.name} has (bins, inputs, tokens, outputs) {shapes}"
            raise UserError(found, f"{expected}", str(file), "export the bundle again")

    def __call__(self, features: Tensor, lengths: Tensor) -> Encoded:
        """Encode features (utterance, time, bin) of lengths (utterance,)."""
        found = self._session.run(None, {"x": features.numpy(), "x_lens": lengths.to(torch.int64).numpy()})
        return Encoded(torch.from_numpy(found[0]), torch.from_numpy(found[1]), None)


class MethodSearcher:
    """A decoding method at its chosen weights."""

    def __init__(
        self, decoder: UtteranceDecoder, method: str, weights: Sequence[float], units: Units, step: float
    ) -> None:
        self._decoder, self._method, self._units, self._step = decoder, method, units, step
        self._point = np.array([weights])

    def __call__(self, log_probs: Tensor, encoded: Optional[Tensor], offset: float) -> Found:
        """Search one segment; words that the method doesn't time are aligned by CTC."""
        try:
            found = self._decoder.decode(f"{offset:.2f} s", log_probs, {self._method: self._point}, encoded)
        except ValueError as error:
            expected, todo = "a graph and a lexicon that belong together", "export the bundle again"
            raise UserError(f"the graph has {error}", expected, "HLG.fst and lexicon.txt", todo) from None
        nbest, _ = found[self._method]
        words = nbest.best(self._point[0])
        if len(nbest.timed) == len(words):
            return Found(self._timed(nbest, words, offset), nbest.outcome)
        try:
            aligned = align_words(log_probs, self._units, " ".join(words), self._step)
        except UserError:  # the words need more frames than there are
            each = len(log_probs) * self._step / max(1, len(words))
            aligned = [Word(word, index * each, each, 0.0) for index, word in enumerate(words)]
        shifted = [word.moved(offset) for word in aligned]
        return Found(shifted, nbest.outcome)

    def _timed(self, nbest: NBest, words: Sequence[str], offset: float) -> List[Word]:
        step = self._step
        return [
            Word(word, offset + time.first * step, (time.last + 1 - time.first) * step, time.confidence)
            for word, time in zip(words, nbest.timed)
        ]


class Opened(NamedTuple):
    """A finished experiment with one of its methods."""

    bank: FilterBank
    model: AcousticModel
    searcher: Searcher
    units: Units
    step: float  # seconds per encoder frame


def _open_experiment(experiment: Experiment, method: Optional[str]) -> Opened:
    config = experiment.config
    method = choose_method(method, config.decode.methods, f"{experiment.directory}/recipe.yaml")
    refuse_changed_model(experiment, with_scales=method != "greedy")
    decode = msgspec.structs.replace(config.decode, methods=(method,))
    narrowed = msgspec.structs.replace(config, decode=decode)
    threads = torch.get_num_threads()
    try:
        split_decoder = SplitDecoder(dataclasses.replace(experiment, config=narrowed))
    finally:
        torch.set_num_threads(threads)
    units = split_decoder.decoder.units.with_silence(optional_silence(config))
    step = config.features.frame_shift * subsampling(config.model)
    searcher: Searcher = Greedy(units, step)
    if method != "greedy":
        scales = read_json(experiment.folder("decode") / "scales.json", Dict[str, Any])["weights"]
        weights = {RENAMED.get(name, name): values for name, values in scales.items()}
        values = [weights[method][name] for name in METHODS[method].weights] if method in weights else []
        searcher = MethodSearcher(split_decoder.decoder, method, values, units, step)
    bank = FilterBank(config.features, config.signal.steps)
    return Opened(bank, split_decoder.model, searcher, units, step)


def choose_method(method: Optional[str], there: Sequence[str], where: str, is_experiment: bool = True) -> str:
    """The method that a user asks for; by default 1best if it is `there`, else greedy. Raises UserError."""
    if method is None:
        return "1best" if "1best" in there else "greedy"
    method = current_method(method, "--method")
    usable = [name for name in dict.fromkeys(("greedy", *there)) if not METHODS[name].is_bound]
    if method not in usable:
        todo = "choose one of these"
        if is_experiment and method in METHODS and method not in there:
            todo += f", or decode with it: run.sh --set decode.methods=[{','.join([*there, method])}]"
        raise UserError(f"method {method}", f"one of {', '.join(usable)}", where, todo)
    return method


def choose_set(name: Optional[str], experiment: Experiment) -> str:
    """The decoded set that a user asks for; by default the first test set, else dev. Raises UserError."""
    corpus = experiment.config.corpus
    decoded = list(dict.fromkeys([*corpus.tests, corpus.dev]))
    if name is not None and name not in decoded:
        expected = f"one of the decoded sets: {', '.join(decoded)}"
        raise UserError(f"no set {name}", expected, "--set-name", "choose one of these")
    return name or corpus.first_test


def _open_bundle(directory: Path, method: Optional[str]) -> Recognizer:
    bundle = open_bundle(directory)
    there = ("greedy", "1best") if bundle.has("HLG.fst") else ("greedy",)
    method = choose_method(method, there, str(directory), is_experiment=False)
    symbols = read_symbols(checked_file(directory, bundle, "tokens.txt"))
    lexicon = read_lexicon(checked_file(directory, bundle, "lexicon.txt"))
    if len(symbols) != bundle.tokens:
        raise UserError(f"tokens.txt has {len(symbols)} tokens", f"{bundle.tokens}", str(directory))
    unknown = {token for entry in lexicon for token in entry.units} - set(symbols)
    if unknown:
        found = f"lexicon.txt has {min(unknown)}, which is no token"
        raise UserError(found, "tokens of tokens.txt", str(directory), "export the bundle again")
    spell = character_spelling(lexicon)
    if bundle.token_kind == "bpe":  # bundles of earlier versions lack bpe.vocab, so they spell no new words
        has_pieces = bundle.has("bpe.vocab")
        spell = read_pieces(checked_file(directory, bundle, "bpe.vocab")) if has_pieces else None
    units = Units(symbols, lexicon, spell).with_silence(bundle.silence)
    searcher: Searcher = Greedy(units, bundle.frame_shift)
    if method == "1best":
        graph = _bundle_graph(directory, bundle, units)
        units = units.with_silence(graph.made_of["optional_silence"])
        decoder = UtteranceDecoder(bundle.search_settings(), units, graph)
        searcher = MethodSearcher(decoder, "1best", (1.0, 0.0), units, bundle.frame_shift)
    encoder = OnnxEncoder(checked_file(directory, bundle, "model.onnx"), bundle)
    return Recognizer(FilterBank(bundle.features, bundle.steps), encoder, searcher, units, bundle.frame_shift)


def _bundle_graph(directory: Path, bundle: Bundle, units: Units) -> "DecodingGraph":
    try:
        import k2
    except ImportError:
        raise UserError("1best needs k2", "k2", "--method", "--method greedy; or asrkit doctor") from None
    from asrkit.graph.silence import find_silence
    from asrkit.graph.store import DecodingGraph, find_fault
    from asrkit.recognise.openfst import read_graph

    file = checked_file(directory, bundle, "HLG.fst")
    arcs, labels = (torch.from_numpy(each) for each in read_graph(file))
    words = read_symbols(checked_file(directory, bundle, "words.txt"))
    fault = find_fault(arcs, labels, len(words))
    if not fault and int(arcs[:, 2].max()) >= len(units):
        fault = "an arc has no token of tokens.txt"
    spelled = {entry.word for entry in units.lexicon}
    if not fault and not {words[label] for label in labels.unique().tolist() if label > 0} <= spelled:
        fault = "a word isn't in lexicon.txt"
    if fault:
        raise UserError(f"HLG.fst is no decoding graph: {fault}", where=str(file), todo="export it again")
    silence = bundle.silence
    if silence is None:  # bundles of earlier versions don't store it
        spellings = [[units.ids[unit] for unit in entry.units] for entry in units.lexicon]
        found = find_silence(arcs.numpy(), labels.numpy(), spellings)
        silence = units.symbols[found] if found is not None else ""
    return DecodingGraph(k2.Fsa(arcs, aux_labels=labels), words, {"optional_silence": silence})
