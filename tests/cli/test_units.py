"""Stage units: which lexicon it reads."""

from pathlib import Path

from asrkit.config import CorpusConfig, RecipeConfig, UnitsConfig
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.record import find_origin
from asrkit.stages.table import STAGES
from asrkit.stages.units import run
from asrkit.storage.files import jsonl_gz_writer, write_text
from asrkit.storage.fingerprint import FingerprintCache, hash_file
from asrkit.text.units import load_units


def test_the_lexicon_read_is_the_fingerprinted_one(tmp_path: Path) -> None:
    units = UnitsConfig(kind="phones", lexicon="lexicon.txt")
    config = RecipeConfig(name="small", corpus=CorpusConfig(module="small"), units=units)
    experiment = Experiment(config, tmp_path / "exp", tmp_path / "corpus", tmp_path / "recipe", jobs=1)
    with jsonl_gz_writer(experiment.folder("manifests") / "train_supervisions.jsonl.gz") as write:
        write({"id": "one", "text": "NO"})
    (stage,) = [stage for stage in STAGES if stage.name == "units"]
    # The corpus's lexicon if the recipe has none
    for folder, phone in ((experiment.corpus_directory, "OW"), (experiment.recipe_directory, "O")):
        write_text(folder / "lexicon.txt", f"NO N {phone}\n")
        run(experiment)
        assert load_units(experiment.folder("units")).lexicon[0].units == ("N", phone)
        inputs = find_origin(stage, experiment, FingerprintCache(tmp_path / "none")).inputs
        assert inputs["recipe/lexicon.txt"] == hash_file(folder / "lexicon.txt")
