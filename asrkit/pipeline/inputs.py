"""The files that a stage's patterns stand for, and their fingerprints."""

import contextlib
import dataclasses
import gzip
import os
import stat
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Set, Tuple

import msgspec

from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.stage import AUDIO_OF, Stage, fill
from asrkit.pipeline.tree import is_readable, tree_key
from asrkit.storage.files import UNREADABLE, read_json
from asrkit.storage.fingerprint import FileStamp, FingerprintCache, stamp_file

AUDIO_SUFFIXES = frozenset([".wav", ".sph", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".au", ".wv1", ".raw"])
IN_EXPERIMENT = "{exp}/"  # prefix of the paths of audio that stage manifests wrote itself


@dataclasses.dataclass(frozen=True)
class Found:
    """The files of a pattern: one file, or a group of files with one fingerprint."""

    name: str  # in records
    files: List[FileStamp]
    missing: Dict[str, Path]  # by name; of a group only the audio of a manifest
    is_group: bool
    is_optional: bool

    def fingerprint(self, cache: FingerprintCache) -> Optional[str]:
        """Fingerprint of the content; None: the file is missing."""
        if self.is_group:
            return cache.group(self.name, self.files)
        return cache.fingerprint(Path(self.files[0].path)) if self.files else None


def find(pattern: str, experiment: Experiment) -> Found:
    """The files of a filled pattern."""
    name = pattern.rstrip("?")
    optional = pattern.endswith("?")
    if name == "{corpus}":
        found = _tree("corpus", experiment.corpus_directory, experiment)
    elif name.startswith("{recipe}/"):
        name = name[len("{recipe}/") :]
        found = _tree(f"recipe/{name}", experiment.named(name), experiment)
    elif name.startswith(AUDIO_OF):
        found = _audio_of(name, experiment)
    elif "*" in name:
        stage, _, rest = name.partition("/")
        folder = experiment.folder(stage)
        files = [file for file in sorted(folder.glob(rest)) if file.is_file()]
        stamps = [stamp_file(f"{stage}/{file.relative_to(folder)}", str(file)) for file in files]
        found = Found(name, stamps, {}, True, False)
    else:
        found = _tree(name, experiment.place(name), experiment)
    return dataclasses.replace(found, is_optional=optional)


def find_all(patterns: Iterable[str], experiment: Experiment) -> List[Found]:
    """The files of each pattern."""
    return [find(pattern, experiment) for pattern in fill(tuple(patterns), experiment)]


def fingerprint_inputs(
    stage: Stage, experiment: Experiment, cache: FingerprintCache
) -> Dict[str, Optional[str]]:
    """Fingerprints of a stage's inputs by name; None: missing.

    Inputs of a command are also the scripts that it names, in the recipe's folder or in local/.
    """
    inputs: Dict[str, Optional[str]] = {}
    for pattern in fill(stage.reads, experiment):
        if pattern.startswith(AUDIO_OF):
            inputs[pattern] = _audio_fingerprint(pattern, experiment, cache)
        elif pattern == "{corpus}":
            inputs["corpus"] = _corpus_fingerprint(experiment, cache)
        else:
            found = find(pattern, experiment)
            inputs[found.name] = found.fingerprint(cache)
    for word in stage.command:
        for kind, folder in (("recipe", experiment.recipe_directory), ("local", experiment.local_directory)):
            if os.path.isfile(folder / word):  # Path.is_file raises OSError if the name is too long
                inputs[f"{kind}/{word}"] = cache.fingerprint(folder / word)
                break
    return inputs


def _corpus_fingerprint(experiment: Experiment, cache: FingerprintCache) -> Optional[str]:
    folder = experiment.corpus_directory
    return _tree_fingerprint("corpus", folder, "corpus", experiment, cache) if folder.is_dir() else None


def _tree_fingerprint(
    name: str, folder: Path, prefix: str, experiment: Experiment, cache: FingerprintCache
) -> str:
    """One fingerprint of the files below a folder, which are listed only if one has changed."""
    left_out = [experiment.directory]
    return cache.group_once(
        name, lambda: walk(folder, prefix, *left_out), lambda: tree_key(folder, left_out, experiment.jobs)
    )


def _audio_fingerprint(name: str, experiment: Experiment, cache: FingerprintCache) -> Optional[str]:
    """Fingerprint of a manifest's audio, which isn't examined while manifest and corpus are unchanged."""
    manifest = experiment.place(name[len(AUDIO_OF) :])
    if not manifest.is_file():
        return cache.group(name, [])
    made = experiment.folder("manifests") / "audio"
    own = ""
    if made.is_dir():
        own = _tree_fingerprint("audio of manifests", made, "", experiment, cache)
    key = f"{name}:{cache.fingerprint(manifest)}:{_corpus_fingerprint(experiment, cache)}:{own}"
    fingerprint = cache.recall(key)
    if fingerprint is None:
        try:
            found = _audio_of(name, experiment)
        except UserError:  # check_inputs reports it before a stage reads the manifest
            return cache.group(name, [])
        fingerprint = cache.group(name, found.files)
        # The key contains the fingerprint of the corpus, which doesn't cover audio elsewhere
        if not found.missing and not any(is_elsewhere(file.name) for file in found.files):
            cache.keep(key, fingerprint)
    return fingerprint


def display(name: str) -> str:
    """A file's name in records as shown to users."""
    folder, _, rest = name.partition("/")
    if folder == "recipe":
        return rest
    if folder == "corpus" or name.startswith("/"):
        kind = "audio" if Path(name).suffix.lower() in AUDIO_SUFFIXES else "corpus"
        return f"{kind} {rest if folder == 'corpus' else name}".rstrip()
    return name


def audio_path(source: str, experiment: Experiment) -> Path:
    """Path of audio by its source in a manifest: relative to the corpus folder, unless absolute."""
    if source.startswith(IN_EXPERIMENT):
        return experiment.place(source[len(IN_EXPERIMENT) :])
    return experiment.corpus_directory / source


def is_elsewhere(source: str) -> bool:
    """Whether the corpus's fingerprint doesn't cover an audio file: outside its folder, or hidden in it."""
    return source.startswith("/") or any(part.startswith(".") for part in source.split("/"))


def audio_source(path: Path, experiment: Experiment) -> str:
    """Path of audio as manifests hold it; audio_path finds it even if the corpus has moved."""
    for root, prefix in (
        (str(experiment.folder("manifests")), f"{IN_EXPERIMENT}manifests/"),
        (str(experiment.corpus_directory), ""),
    ):
        if str(path).startswith(f"{root}/"):
            return prefix + str(path)[len(root) + 1 :]
    with contextlib.suppress(ValueError):
        return str(path.relative_to(experiment.corpus_directory.resolve()))
    return str(path)


def _tree(name: str, place: Path, experiment: Experiment) -> Found:
    """The files below a folder, or the file itself."""
    if os.path.isdir(place):
        return Found(name, walk(place, name, experiment.directory), {}, True, False)
    with contextlib.suppress(OSError):
        status = os.stat(place)
        if stat.S_ISREG(status.st_mode):  # reading a pipe would block
            return Found(name, [stamp_file(name, str(place), status)], {}, False, False)
    return Found(name, [], {name: place}, False, False)


def walk(top: Path, name: str, *left_out: Path) -> List[FileStamp]:
    """The regular files below a folder as "name/...", following links but visiting each folder once.

    Left out are hidden files, dangling and circular links, links to a parent, the folders `left_out`, and
    experiments.
    """
    seen: Set[Tuple[int, int]] = set()
    here = Path(os.path.realpath(top))
    for folder in (*here.parents, *left_out):
        if folder.exists() and os.path.realpath(folder) != str(here):
            status = os.stat(folder)
            seen.add((status.st_dev, status.st_ino))
    stamps: List[FileStamp] = []
    _walk(str(top), name, seen, stamps)
    return stamps


def _walk(folder: str, prefix: str, seen: Set[Tuple[int, int]], stamps: List[FileStamp]) -> None:
    status = os.stat(folder)
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    if not is_readable(folder):
        return
    with os.scandir(folder) as entries:
        ordered = sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)
    if {"recipe.yaml", "stages"} <= {entry.name for entry in ordered}:  # an experiment
        return
    for entry in ordered:
        name = f"{prefix}/{entry.name}"
        try:
            found = entry.stat()
        except OSError:
            continue
        if stat.S_ISREG(found.st_mode):
            stamps.append(stamp_file(name, entry.path, found))
        elif stat.S_ISDIR(found.st_mode):
            _walk(entry.path, name, seen, stamps)


class _Source(msgspec.Struct):
    source: str


class _Recording(msgspec.Struct):
    sources: List[_Source]


class _Cut(msgspec.Struct):
    recording: Optional[_Recording] = None


def _audio_of(name: str, experiment: Experiment) -> Found:
    """The audio of a lhotse manifest's cuts, or of a list; raises UserError if the file can't be read."""
    manifest = experiment.place(name[len(AUDIO_OF) :])
    if manifest.suffix == ".json":
        return _listed_audio(name, manifest, experiment)
    try:
        cuts = msgspec.json.Decoder(_Cut).decode_lines(gzip.decompress(manifest.read_bytes()))
    except UNREADABLE as error:
        if not manifest.exists():  # the manifest itself is reported as missing
            return Found(name, [], {}, True, False)
        reason, todo = " ".join(str(error).split()), "run.sh --stage manifests"
        raise UserError(f"can't read {manifest}: {reason}", "a manifest", str(manifest), todo) from None
    sources = {source.source for cut in cuts if cut.recording for source in cut.recording.sources}
    return _stamped(name, sorted(sources), experiment)


def _listed_audio(name: str, file: Path, experiment: Experiment) -> Found:
    """The audio in a JSON list of paths. If the list is missing, records have no entry for it."""
    if not file.exists():
        return Found(name, [], {}, False, False)
    return _stamped(name, read_json(file, List[str]), experiment)


def _stamped(name: str, sources: List[str], experiment: Experiment) -> Found:
    stamps: List[FileStamp] = []
    missing: Dict[str, Path] = {}
    for source in sources:
        path = str(audio_path(source, experiment))
        shown = source if source.startswith("/") else f"corpus/{source}"
        if source.startswith(IN_EXPERIMENT):
            shown = source[len(IN_EXPERIMENT) :]
        try:
            stamps.append(stamp_file(shown, path))
        except OSError:
            missing[shown] = Path(path)
    return Found(name, stamps, missing, True, False)
