"""A bundle: a folder with a trained model that needs no recipe, no corpus and no asrkit.

    model.onnx     features to log-probabilities (also .int8.onnx, .fp16.onnx, and model.pt in TorchScript)
    model.streaming.onnx   chunks of features and states to log-probabilities and states
    encoder.onnx, decoder.onnx, joiner.onnx    the parts of a transducer, if the model has one
    bpe.vocab      BPE pieces and their scores, to spell hotwords outside the lexicon
    tokens.txt     "token id" lines
    words.txt      "word id" lines, the output labels of HLG.fst
    HLG.fst        the decoding graph in OpenFst's format, language-model scale and word bonus in its costs
    lexicon.txt    the tokens of each word
    rules.fst      phones to words, for decoders whose text is of tokens
    bundle.json    settings of features and search, results, and a checksum of each file
    README.md      the model card

What a bundle holds is data: nothing of it is executed, and each file is compared with its checksum.
"""

import math
from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional, Tuple, Union

import msgspec

from asrkit.config.recipe import DecodeConfig, FeaturesConfig, SignalStep
from asrkit.errors import UserError
from asrkit.storage.files import read_json, write_checked_json
from asrkit.storage.fingerprint import hash_file

DESCRIPTION = "bundle.json"
FORMAT = 1  # raised when an older asrkit can't read it
MODELS = ("model.onnx", "model.int8.onnx", "model.fp16.onnx", "model.streaming.onnx")
TRANSDUCER = ("encoder.onnx", "decoder.onnx", "joiner.onnx", "bpe.vocab")
FILES = {
    *MODELS,
    *TRANSDUCER,
    "model.pt",
    "tokens.txt",
    "words.txt",
    "HLG.fst",
    "lexicon.txt",
    "rules.fst",
    "README.md",
}
LARGEST_DESCRIPTION = 16 << 20  # bytes
Size = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class FileEntry(msgspec.Struct, frozen=True):
    """A file of the bundle."""

    bytes: Size
    blake2b: str  # hexadecimal, of 16 bytes


class Bundle(msgspec.Struct, frozen=True):
    """What bundle.json says."""

    format: int
    name: str
    features: FeaturesConfig
    frame_shift: Positive  # seconds between the model's frames
    subsampling: Annotated[int, msgspec.Meta(ge=1)]
    tokens: Annotated[int, msgspec.Meta(ge=2)]
    token_kind: str  # bpe, characters or phones
    search: Dict[str, Union[int, float]]  # search_beam, output_beam, min_active_states, max_active_states
    weights: Dict[str, float]  # lm_scale and word_bonus, in the costs of HLG.fst already
    files: Dict[str, FileEntry]
    commit: Optional[str] = None
    configuration: Optional[str] = None
    training: Optional[str] = None
    exported: str = ""  # date
    results: List[Dict[str, Any]] = []
    steps: Tuple[SignalStep, ...] = ()  # before the features
    silence: Optional[str] = None  # token of optional silence, "" for none; None: by an earlier version

    def has(self, name: str) -> bool:
        """Whether a file is part of the bundle."""
        return name in self.files

    def search_settings(self) -> DecodeConfig:
        """Settings of the search; scale and bonus are in the graph's costs. Raises ValidationError."""
        return msgspec.convert({**self.search, "methods": ["1best"], "search_lm_scale": 1.0}, DecodeConfig)


def write_bundle(directory: Path, bundle: Bundle) -> Bundle:
    """Write bundle.json, last, with sizes and checksums of the files in the folder; returns its content."""
    files = {
        file.name: FileEntry(file.stat().st_size, hash_file(file))
        for file in sorted(directory.iterdir())
        if file.name in FILES
    }
    complete = msgspec.structs.replace(bundle, files=files)
    write_checked_json(directory / DESCRIPTION, msgspec.to_builtins(complete), indent=1)
    return complete


def open_bundle(directory: Path) -> Bundle:
    """Read bundle.json; raises UserError for what is no bundle, damaged, or of a later format."""
    file = directory / DESCRIPTION
    if not file.is_file() or file.stat().st_size > LARGEST_DESCRIPTION:
        expected = f"a folder with {DESCRIPTION}, as asrkit export writes it"
        todo = "asrkit export --exp EXP BUNDLE"
        raise UserError(f"{directory} is no bundle", expected, str(directory), todo)
    content = read_json(file, Dict[str, Any], checked=True)
    if content.get("format") != FORMAT:
        todo = "export it again with this asrkit, or use the asrkit that wrote it"
        raise UserError(f"the bundle's format is {content.get('format')!r}", f"{FORMAT}", str(file), todo)
    try:
        bundle = msgspec.convert(content, Bundle)
        bundle.search_settings()
    except msgspec.ValidationError as error:
        raise _damaged(file, str(error)) from None
    if not _is_possible(bundle):
        raise _damaged(file, "its features aren't of speech, or its frame shifts don't fit")
    others = set(bundle.files) - FILES
    if others:
        raise _damaged(file, f"it lists {min(others)!r}, which is no file of bundles")
    return bundle


def _is_possible(bundle: Bundle) -> bool:
    """Whether the features can be computed: what is outside these ranges is no speech."""
    features = bundle.features
    seconds = features.frame_shift, features.frame_length
    return (
        1000 <= features.sampling_rate <= 200_000
        and features.bins <= 1000
        and all(0.001 <= each <= 1 for each in seconds)
        and math.isclose(bundle.frame_shift, features.frame_shift * bundle.subsampling)
    )


def checked_file(directory: Path, bundle: Bundle, name: str) -> Path:
    """A file of the bundle, compared with its size and checksum; raises UserError for another one."""
    file, entry = directory / name, bundle.files.get(name)
    if entry is None:
        todo = "export it with that file, or choose another method"
        raise UserError(f"the bundle has no {name}", ", ".join(bundle.files), str(directory), todo)
    try:
        same = file.stat().st_size == entry.bytes and hash_file(file) == entry.blake2b
    except OSError as error:
        raise _damaged(file, str(error.strerror)) from None
    if not same:
        raise _damaged(file, "its content is not what bundle.json says")
    return file


def _damaged(file: Path, reason: str) -> UserError:
    found = f"{file.name} of the bundle is damaged: {reason}"
    return UserError(found, "the file that asrkit export wrote", str(file), "copy or export it again")
