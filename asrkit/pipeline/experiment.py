"""One experiment: its settings and where everything in it lies."""

import dataclasses
from pathlib import Path

import msgspec
import yaml

import asrkit
from asrkit.config import RecipeConfig, load_config
from asrkit.errors import UserError
from asrkit.storage.files import write_text

REPOSITORY = Path(asrkit.__file__).resolve().parent.parent


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Settings and folders of one run of a recipe. Each stage writes the folder of its name."""

    config: RecipeConfig
    directory: Path  # EXP: all that the stages write
    corpus_directory: Path  # the corpus as published; read only, except by stage download
    recipe_directory: Path  # recipes/<corpus>: recipe.yaml, expect.json, lexicon
    jobs: int  # parallel processes

    @property
    def local_directory(self) -> Path:
        """local/ of the repository that holds the recipe, else the one beside the library."""
        for folder in self.recipe_directory.resolve().parents:
            if (folder / "local" / f"{self.config.corpus.module}.py").is_file():
                return folder / "local"
        return REPOSITORY / "local"

    def named(self, name: str) -> Path:
        """The file or folder that a setting names: in the recipe's folder, else in the corpus's, or /..."""
        own, of_corpus = self.recipe_directory / name, self.corpus_directory / name
        return of_corpus if of_corpus.exists() and not own.exists() else own

    @property
    def records(self) -> Path:
        """<N>-<stage>.json: what each finished stage was made from; see asrkit.pipeline.record."""
        return self.directory / "stages"

    @property
    def logs(self) -> Path:
        """<N>-<stage>.log: what each stage printed, with times."""
        return self.directory / "logs"

    @property
    def manifests(self) -> Path:
        """{split}_{recordings,supervisions,cuts}.jsonl.gz, rejected.jsonl, statistics.json."""
        return self.directory / "manifests"

    @property
    def features(self) -> Path:
        """{split}_cuts.jsonl.gz with features attached, shards, normalisation.safetensors."""
        return self.directory / "features"

    @property
    def units(self) -> Path:
        """units.txt, words.txt, lexicon.txt and bpe.model."""
        return self.directory / "units"

    @property
    def lm(self) -> Path:
        """lm.arpa and report.json with its perplexity on dev; the models to rescore with, where asked for."""
        return self.directory / "lm"

    @property
    def graph(self) -> Path:
        """HLG.safetensors."""
        return self.directory / "graph"

    @property
    def training(self) -> Path:
        """checkpoints/, log.jsonl, tensorboard/."""
        return self.directory / "train"

    @property
    def averaged(self) -> Path:
        """model.safetensors, chosen on dev, with its settings inside."""
        return self.directory / "average"

    @property
    def decoding(self) -> Path:
        """{split}/ posteriors and hypotheses; scales.json, chosen on dev."""
        return self.directory / "decode"

    @property
    def scores(self) -> Path:
        """{set}_{method}: .txt aligned listing, .json errors by group, .ref.trn and .hyp.trn for sclite."""
        return self.directory / "score"


def open_experiment(directory: Path, jobs: int = 1) -> Experiment:
    """An experiment that was run before, with the settings of that run; UserError where there is none.

    Recipe and corpus may be gone, so nothing may be asked of them.
    """
    file = directory / "recipe.yaml"
    if not file.exists():
        raise UserError(
            f"{directory} is no experiment",
            expected="a folder that asrkit run wrote, with recipe.yaml in it",
            where=str(file),
            todo="check the name",
        )
    return Experiment(load_config(file), directory.resolve(), directory, directory, jobs)


def write_settings(experiment: Experiment) -> None:
    """Keep the settings of the last run in EXP/recipe.yaml."""
    text = yaml.safe_dump(msgspec.to_builtins(experiment.config), sort_keys=False, allow_unicode=True)
    file = experiment.directory / "recipe.yaml"
    if not file.is_file() or file.read_bytes() != text.encode("utf-8"):
        write_text(file, text)
