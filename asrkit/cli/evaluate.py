"""asrkit evaluate: score a trained experiment on any lhotse CutSet with supervisions."""

import contextlib
import dataclasses
import os
import shutil
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import click
import msgspec

from asrkit.cli.run import DEVICE
from asrkit.config.checks import conflicts
from asrkit.config.methods import RENAMED, current_method, method_order
from asrkit.config.names import refuse_split_names
from asrkit.corpus.cut_set import cut_utterances, read_cut_set
from asrkit.corpus.derived_audio import derive_audio
from asrkit.corpus.manifests import read_cuts, write_manifests
from asrkit.corpus.rejection import list_rejections
from asrkit.corpus.validation import validate
from asrkit.decode.splits import decode_frozen
from asrkit.errors import UserError
from asrkit.pipeline.cluster import KINDS, LOCAL, check_cluster
from asrkit.pipeline.cost import read_cost
from asrkit.pipeline.experiment import Experiment, open_experiment, with_values, write_settings
from asrkit.pipeline.finished import MADE_OF, has_records, refuse_changed
from asrkit.pipeline.interruption import signals_raise
from asrkit.pipeline.lock import hold_lock
from asrkit.pipeline.machine import count_cores
from asrkit.pipeline.record import read_record
from asrkit.pipeline.runner import cache_of
from asrkit.pipeline.stage import fill
from asrkit.score.splits import score_all
from asrkit.signal.features import Shard, compute_shards, join_shards, plan_shards
from asrkit.stages import average
from asrkit.stages.table import stage_named
from asrkit.storage.files import read_json, remove, write_checked_json, write_json
from asrkit.storage.fingerprint import hash_file, hash_value
from asrkit.train.earlier_training import FILE, write_segments_of

FOLDER = click.Path(path_type=Path)
# Stages whose folders decoding may read in the trained experiment; the evaluation has links to them
TRAINED = ("units", "lm", "graph", "average")


@click.command("evaluate")
@click.option("--exp", required=True, type=FOLDER, metavar="DIR", help="A finished experiment.")
@click.option("--cuts", required=True, type=FOLDER, metavar="FILE", help="A lhotse CutSet.")
@click.option("--method", "methods", multiple=True, help="E.g. 1best; may be repeated.  [default: all]")
@click.option("--output", type=FOLDER, metavar="DIR", help="Folder to write.  [default: EXP/evaluate/NAME]")
@click.option("--allow-pipes", is_flag=True, help="Run the CutSet's audio commands (with your privileges).")
@click.option("--nj", type=click.IntRange(min=1), help="Number of processes.  [default: number of cores]")
@click.option("--cluster", default=LOCAL, envvar="ASRKIT_CLUSTER", metavar="WHERE", help=f"{KINDS}.")
@click.option("--device", type=DEVICE, help="Of the model and the search.  [default: EXP's]")
def command(
    exp: Path,
    cuts: Path,
    methods: Tuple[str, ...],
    output: Optional[Path],
    allow_pipes: bool,
    nj: Optional[int],
    cluster: str,
    device: Optional[str],
) -> None:
    """Decode and score a CutSet with the model, features and scales of a trained experiment.

    Each cut has one supervision, whose text is the reference. Nothing is tuned on these cuts. NAME is the
    file's name up to the first full stop. The folder gets results.json, RESULTS.md and the listings in
    score/, like an experiment.
    """
    methods = tuple(dict.fromkeys(current_method(method, "--method") for method in methods))
    check_cluster(cluster)
    trained = _open_trained(exp, nj or count_cores(), cluster, device)
    _refuse_unfinished(trained, methods)
    _refuse_changed(trained)
    name = cuts.name.partition(".")[0]
    refuse_split_names([name], "--cuts")
    found = read_cut_set(cuts, "--cuts", allow_pipes)
    directory = Path(os.path.abspath(output or exp / "evaluate" / name))
    evaluation = _evaluation_of(trained, name, directory, methods)
    _refuse_other_folder(evaluation.directory, cuts)
    with signals_raise(), hold_lock(evaluation.directory, ["asrkit", *sys.argv[1:]], "--output"):
        _link_trained(trained, evaluation)
        _write_manifests(evaluation, name, found)
        shards = _write_features(evaluation, name)
        begun = _begin(evaluation, cuts, shards)
        if not begun["outputs"]:
            decode_frozen(evaluation, name)
        write_segments_of(trained, evaluation.folder("train") / FILE)
        score_all(evaluation, methods)
        _finish(evaluation, name, begun)


def _open_trained(exp: Path, jobs: int, cluster: str, device: Optional[str]) -> Experiment:
    trained = open_experiment(exp, jobs)
    config = with_values(trained.config, {} if device is None else {"decode.device": device})
    before = list(conflicts(trained.config))  # accepted by the version of asrkit that trained it
    for conflict in conflicts(config):
        if conflict not in before:
            raise UserError(conflict.found, conflict.expected, "--device", conflict.todo)
    average.check_device(config)
    return dataclasses.replace(trained, config=config, cluster=cluster)


def _refuse_changed(trained: Experiment) -> None:
    """Raise UserError unless all files taken from the experiment are as its stages left them."""
    if not has_records(trained.directory):
        return
    cache, decoding = cache_of(trained), stage_named("decode")
    folders = {name: f"{name}/" for name in TRAINED}
    reads = [file for file in fill(decoding.reads, trained) if file.startswith(tuple(folders.values()))]
    for name, folder in folders.items():  # stages lm and graph may be missing, if no method needs them
        stage = stage_named(name)
        if read_record(stage, trained) is not None or any(file.startswith(folder) for file in reads):
            refuse_changed(stage, trained, cache, reads=())
    refuse_changed(stage_named("manifests"), trained, cache, reads=(), writes=("manifests/statistics.json",))
    refuse_changed(stage_named("features"), trained, cache, reads=(), writes=())  # its settings matter
    refuse_changed(decoding, trained, cache, reads, writes=("decode/scales.json",))
    if read_record(stage_named("score"), trained) is not None:
        refuse_changed(stage_named("score"), trained, cache, reads=(), writes=())


def _refuse_unfinished(trained: Experiment, methods: Tuple[str, ...]) -> None:
    decoded = sorted((trained.folder("decode") / trained.config.corpus.dev).glob("hypotheses_*.jsonl"))
    if not (trained.folder("decode") / "scales.json").exists():
        found = "the experiment has not been decoded, so no scales have been chosen on dev"
        expected, todo = "an experiment with all stages run", "run.sh, which runs the remaining stages"
        raise UserError(found, expected, str(trained.folder("decode")), todo)
    # A pruned experiment has no hypotheses of its own, only the scales of the model that it comes from
    names = [file.stem[len("hypotheses_") :] for file in decoded] or trained.config.decode.methods
    known = sorted((RENAMED.get(name, name) for name in names), key=method_order)
    unknown = [method for method in methods if method not in known]
    if unknown:
        todo = "choose one of these, or decode with it first: decode.methods"
        raise UserError(f"no method {unknown[0]}", f"one of {', '.join(known)}", "--method", todo)


def _evaluation_of(trained: Experiment, name: str, directory: Path, methods: Tuple[str, ...]) -> Experiment:
    """The trained experiment's settings, with the cuts as its only test set, in a folder of its own."""
    of_decode = trained.config.decode
    config = msgspec.structs.replace(
        trained.config,
        name=f"{trained.config.name} on {name}",
        corpus=msgspec.structs.replace(trained.config.corpus, tests=(name,)),
        decode=msgspec.structs.replace(of_decode, methods=methods or of_decode.methods),
    )
    return Experiment(config, directory, directory, directory, trained.jobs, trained.cluster)


def _refuse_other_folder(directory: Path, cuts: Path) -> None:
    present = [file for file in directory.glob("*") if not file.name.startswith(".")]
    if present and not (directory / MADE_OF).exists():
        expected = "an empty folder, or that of an earlier evaluation"
        found = f"{directory} holds other files: {present[0].name}"
        raise UserError(found, expected, "--output", "give another folder")
    earlier: Dict[str, Any] = {}
    with contextlib.suppress(UserError):  # if it is damaged, everything is decoded again
        earlier = read_json(directory / MADE_OF, Dict[str, Any]) if present else {}
    other = Path(str(earlier.get("cuts", cuts)))
    if other.exists() and not other.samefile(cuts):  # if it is missing, it may have been moved to `cuts`
        found, expected = f"{directory} holds the evaluation of {other}", "one folder per CutSet"
        raise UserError(found, expected, "--output", "give another folder, or remove this one")


def _link_trained(trained: Experiment, evaluation: Experiment) -> None:
    directory = evaluation.directory
    if not (directory / MADE_OF).exists():
        write_checked_json(directory / MADE_OF, {})
    for name in TRAINED:
        link = directory / name
        remove(link)
        if (trained.directory / name).exists():
            link.symlink_to(os.path.relpath(trained.directory / name, os.path.realpath(directory)))
    write_json(directory / "cost.json", read_cost(trained))
    for file in ("decode/scales.json", "manifests/statistics.json"):
        if (trained.directory / file).exists():
            write_json(directory / file, read_json(trained.directory / file))
    write_settings(evaluation.directory, evaluation.config)


def _write_manifests(evaluation: Experiment, name: str, cuts: List[Any]) -> None:
    """Like stage manifests, but any number of cuts may be unusable as long as one is usable."""
    config = evaluation.config.corpus
    listed = list(cut_utterances(cuts, name, Path.cwd(), config.max_duration))
    utterances, rejections = derive_audio(listed, config, evaluation.directory / "audio", jobs=1)
    valid, unusable = validate(utterances, config, evaluation.jobs, cluster=evaluation.cluster)
    rejections += unusable
    list_rejections(evaluation.folder("manifests") / "rejected.jsonl", rejections, [name])
    if not valid:
        rows = [rejection.row() for rejection in rejections[:5]]
        reasons = "".join(f"\n    {row['id']}: {row['reason']}" for row in rows)
        where = str(evaluation.folder("manifests") / "rejected.jsonl")
        todo = "fix the CutSet; relative paths of audio files start at the current folder"
        found = f"none of the {len(cuts)} cuts can be used:{reasons}"
        raise UserError(found, "cuts with audio and text", where, todo)
    write_manifests(evaluation, name, valid)


def _write_features(evaluation: Experiment, name: str) -> List[Shard]:
    """Like stage features for a test set."""
    cuts = list(read_cuts(evaluation, name))
    shards = plan_shards(name, cuts, evaluation.config, train=False)
    compute_shards(evaluation, shards)
    join_shards(evaluation, shards)
    return shards


def _begin(evaluation: Experiment, cuts: Path, shards: List[Shard]) -> Dict[str, Any]:
    """The content of made_of.json: "outputs" is empty unless the methods have been decoded.

    Earlier outputs count if audio, model and settings are the same and the files are unchanged. Otherwise
    they are removed, unless an interrupted decoding of the same methods can resume.
    """
    directory, methods = evaluation.directory, list(evaluation.config.decode.methods)
    name = cuts.name.partition(".")[0]
    files = ["average/model.safetensors", "graph/HLG.safetensors", "units/units.txt", "decode/scales.json"]
    models = [*(directory / "lm").glob("*.arpa"), *(directory / "lm").glob("*.safetensors")]
    files += sorted(f"lm/{file.name}" for file in models)
    settings = msgspec.to_builtins(evaluation.config.decode)
    made_of = {
        "features": hash_value([shard.key for shard in shards]),
        "decode": hash_value({**settings, "methods": None, "device": None}),
        **_sums(directory, files),
    }
    earlier: Dict[str, Any] = {}
    try:
        earlier = read_json(directory / MADE_OF, Dict[str, Any], checked=True)
    except UserError as error:
        print(f"evaluate: {error.found}; decoding everything again", flush=True)
    same = earlier.get("made_of") == made_of
    outputs = [
        f"decode/{name}/{file}"
        for method in methods
        for file in (f"hypotheses_{method}.jsonl", f"timing_{method}.json")
    ]
    decoded = {file: earlier.get("outputs", {}).get(file, "") for file in outputs}
    if same and decoded == _sums(directory, outputs):
        return earlier
    if not same or earlier.get("methods") != methods:
        for folder in evaluation.folder("decode").glob("*"):
            if folder.is_dir():  # not the link to the scales
                shutil.rmtree(folder)
    begun = {"cuts": os.path.abspath(cuts), "made_of": made_of, "methods": methods, "outputs": {}}
    write_checked_json(directory / MADE_OF, begun)
    return begun


def _finish(evaluation: Experiment, name: str, begun: Dict[str, Any]) -> None:
    """Add the fingerprints of what scoring read and wrote to made_of.json, for asrkit compare."""
    directory = evaluation.directory
    patterns = ("manifests/*.gz", "*/rejected.jsonl", f"decode/{name}/*.json*", "units/*.txt", "results.json")
    files = sorted(file for pattern in patterns for file in directory.glob(pattern))
    outputs = _sums(directory, [str(file.relative_to(directory)) for file in files])
    write_checked_json(directory / MADE_OF, {**begun, "outputs": outputs})


def _sums(directory: Path, files: List[str]) -> Dict[str, str]:
    return {file: hash_file(directory / file) for file in files if (directory / file).is_file()}
