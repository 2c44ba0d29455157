"""Export a finished experiment as a bundle."""

import datetime
import math
import os
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from asrkit.config.methods import RENAMED
from asrkit.corpus.text import WORD_START
from asrkit.deploy.card import write_card
from asrkit.deploy.exported import (
    export_onnx,
    export_stream,
    export_torchscript,
    export_transducer,
    quantise,
    to_half_precision,
)
from asrkit.errors import UserError
from asrkit.lm.arpa import read_unigrams
from asrkit.model.acoustic import load_model, subsampling
from asrkit.pipeline.cost import read_cost
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.finished import refuse_changed_model
from asrkit.recognise.bundle import DESCRIPTION, FILES, FORMAT, Bundle, write_bundle
from asrkit.recognise.openfst import write_graph, write_rules
from asrkit.recognise.opening import optional_silence, refuse_whole_utterances, streaming_model
from asrkit.storage.files import read_json, remove, write_bytes, write_text
from asrkit.storage.tensors import load_tensors
from asrkit.text.units import Units, load_units

UNSEEN_WORD_COST = 20.0  # of a word that the language model lacks: a probability of 2e-9


def export(
    experiment: Experiment,
    directory: Path,
    int8: bool = False,
    fp16: bool = False,
    chunk: Optional[float] = None,
) -> Bundle:
    """Write a bundle of a finished experiment into a folder, and return what bundle.json says.

    `chunk`: also write a model for streams, with chunks of so many seconds. An existing bundle stays in place
    until the new one is complete; a link to a folder is kept. Raises UserError for a folder that holds other
    files or can't be replaced, a model that was not trained for streams, or a missing package that int8, fp16
    or streams need.
    """
    directory = Path(os.path.realpath(directory))
    _refuse_other_files(directory)
    _refuse_fixed_folder(directory)
    refuse_changed_model(experiment, with_results=True)
    partial = directory.with_name(f".{directory.name}.next")
    old = directory.with_name(f".{directory.name}.old")
    try:
        remove(partial)
        remove(old)
        partial.mkdir(parents=True)
    except OSError as error:
        found, todo = f"can't write {partial}: {error.strerror}", "give another folder"
        raise UserError(found, "a writable directory", str(directory.parent), todo) from None
    bundle = write_files(experiment, partial, int8, fp16, chunk)
    if directory.exists():
        directory.rename(old)
    partial.rename(directory)
    remove(old)
    return bundle


def write_files(
    experiment: Experiment,
    directory: Path,
    int8: bool = False,
    fp16: bool = False,
    chunk: Optional[float] = None,
) -> Bundle:
    """Write a bundle's files into an empty folder, and return what bundle.json says; see export."""
    config = experiment.config
    model, about = load_model(experiment.folder("average") / "model.safetensors")
    units = load_units(experiment.folder("units"))
    weights = _weights(experiment)
    bundle = Bundle(
        format=FORMAT,
        name=config.name,
        features=config.features,
        frame_shift=config.features.frame_shift * subsampling(config.model),
        subsampling=subsampling(config.model),
        tokens=len(units),
        token_kind=config.units.kind,
        search=_search(experiment),
        weights=weights or {},
        files={},
        commit=read_cost(experiment).get("commit"),
        configuration=read_cost(experiment).get("configuration"),
        training=about.get("training"),
        exported=datetime.date.today().isoformat(),
        results=_results(experiment),
        steps=config.signal.steps,
        silence=optional_silence(config) or "",
    )
    export_onnx(model, directory / "model.onnx", {"model_type": "zipformer2_ctc", "comment": config.name})
    export_torchscript(model, directory / "model.pt")
    if model.transducer is not None:
        export_transducer(model, directory)
    seconds = None
    if chunk is not None:
        refuse_whole_utterances(experiment)
        streaming = streaming_model(model, chunk, bundle.frame_shift)
        seconds = streaming.chunk * bundle.frame_shift
        export_stream(streaming, directory / "model.streaming.onnx", config.name)
    if int8:
        quantise(directory / "model.onnx", directory / "model.int8.onnx")
    if fp16:
        to_half_precision(directory / "model.onnx", directory / "model.fp16.onnx")
    _write_symbols(experiment, directory, units)
    write_pieces(experiment.folder("units") / "bpe.model", directory / "bpe.vocab")
    if weights is not None:
        tensors, _ = load_tensors(experiment.folder("graph") / "HLG.safetensors")
        arcs, words = tensors["arcs"].numpy(), tensors["words"].numpy()
        write_graph(directory / "HLG.fst", arcs, words, weights["lm_scale"], weights["word_bonus"])
    write_card(directory / "README.md", bundle, experiment, seconds)
    return write_bundle(directory, bundle)


def _refuse_other_files(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        expected, todo = "a new or empty folder, or an earlier bundle", "give the name of a folder"
        raise UserError(f"{directory} is a file", expected, "the folder of the bundle", todo)
    others = [file.name for file in directory.glob("*") if file.name not in {*FILES, DESCRIPTION}]
    if others:
        raise UserError(
            f"{directory} holds other files: {others[0]}",
            expected="a new or empty folder, or an earlier bundle",
            where="the folder of the bundle",
            todo="give another folder",
        )


def _refuse_fixed_folder(directory: Path) -> None:
    """Raise UserError for a folder that can't be renamed, so that the new bundle can't take its place."""
    here = Path(os.path.realpath(os.curdir))
    for found, is_so in (
        (f"{directory} is the current directory or holds it", directory in (here, *here.parents)),
        (f"{directory} is a mount point", os.path.ismount(directory)),
    ):
        if is_so:
            todo = f"give a folder inside it: {directory / 'bundle'}"
            raise UserError(found, "a folder that can be replaced", "the folder of the bundle", todo)


def _weights(experiment: Experiment) -> Optional[Dict[str, float]]:
    """Language-model scale and word bonus that were chosen on dev for the graph; None without one."""
    if not (experiment.folder("graph") / "HLG.safetensors").is_file():
        return None
    weights = read_json(experiment.folder("decode") / "scales.json")["weights"]
    return {RENAMED.get(name, name): values for name, values in weights.items()}.get("1best")


def _search(experiment: Experiment) -> Dict[str, Any]:
    decode = experiment.config.decode
    names = ("search_beam", "output_beam", "min_active_states", "max_active_states")
    return {name: getattr(decode, name) for name in names}


def _results(experiment: Experiment) -> List[Dict[str, Any]]:
    """Rows of results.json, of the test sets, without what is of single utterances or speakers."""
    file = experiment.directory / "results.json"
    names = ("set", "method", "unit", "errors", "reference", "rate", "interval", "rtf")
    rows = read_json(file) if file.is_file() else []
    return [{name: row[name] for name in names} for row in rows if row.get("role", "test") == "test"]


def _write_symbols(experiment: Experiment, directory: Path, units: Units) -> None:
    """tokens.txt, words.txt and lexicon.txt; for phones rules.fst too."""
    folder = experiment.folder("units")
    for name in ("units.txt", "words.txt", "lexicon.txt"):
        exported = "tokens.txt" if name == "units.txt" else name
        write_bytes(directory / exported, (folder / name).read_bytes())
    if experiment.config.units.kind == "phones":
        spellings, are_marked = _spellings(units, _word_costs(experiment))
        write_rules(directory / "rules.fst", spellings, are_marked)


def write_pieces(model: Path, file: Path) -> None:
    """Write the pieces and scores of a BPE model, if there is one, so that a bundle can spell any word."""
    if model.is_file():
        import sentencepiece

        bpe = sentencepiece.SentencePieceProcessor(model_proto=model.read_bytes())
        rows = [f"{bpe.id_to_piece(id)}\t{bpe.get_score(id)}\n" for id in range(bpe.get_piece_size())]
        write_text(file, "".join(rows))


def _word_costs(experiment: Experiment) -> Dict[str, float]:
    """Negative natural logarithm of each word's unigram probability: of homophones the usual one is taken."""
    file = experiment.folder("lm") / "lm.arpa"
    unigrams = read_unigrams(file) if file.is_file() else {}
    return {word: -value * math.log(10) for word, value in unigrams.items()}


def _spellings(units: Units, costs: Dict[str, float]) -> Tuple[List[Tuple[str, str, float]], bool]:
    """Text of each word's tokens, the word and its cost; whether words are separated in that text."""
    are_marked = any(symbol.startswith(WORD_START) for symbol in units.symbols)
    spellings = [
        ("".join(entry.units).replace(WORD_START, ""), entry.word, costs.get(entry.word, UNSEEN_WORD_COST))
        for entry in units.lexicon
    ]
    return spellings, are_marked
