"""One experiment: its settings and where everything in it lies."""

import dataclasses
import os
from pathlib import Path
from typing import Any, Dict, Mapping, Optional

import msgspec
import yaml

import asrkit
from asrkit.config import RecipeConfig, load_config
from asrkit.errors import UserError
from asrkit.storage.files import write_text

REPOSITORY = Path(asrkit.__file__).resolve().parent.parent
CORPUS_NOTE = "stages/corpus_dir"  # the corpus's folder, as the last run had it


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Settings and folders of one run of a recipe. Each stage writes the folder of its name."""

    config: RecipeConfig
    directory: Path  # EXP: all that the stages write
    corpus_directory: Path  # the corpus as published; read only, except by stage download
    recipe_directory: Path  # recipes/<corpus>: recipe.yaml, expect.json, lexicon
    jobs: int  # parallel processes
    # Of a stage that runs: the folder that it writes until it has finished, when that isn't EXP/<stage>
    folders: Mapping[str, Path] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises UserError for a folder that manifests and models can't name."""
        for folder in (self.directory, self.corpus_directory, self.recipe_directory):
            try:
                str(folder).encode("utf-8")
            except UnicodeEncodeError:
                raise UserError(
                    f"the name of the folder {folder} isn't UTF-8",
                    expected="a name that JSON can hold",
                    where=str(folder),
                    todo="rename it, or make a link to it with another name",
                ) from None

    def folder(self, stage: str) -> Path:
        """What a stage wrote or, while it runs, what it writes: see its declaration in asrkit.stages."""
        return self.folders.get(stage, self.directory / stage)

    def place(self, name: str) -> Path:
        """A file by its name in records: "lm/lm.arpa" lies in the folder of stage lm."""
        stage, _, rest = name.partition("/")
        return self.folder(stage) / rest

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
        """<stage>.json: what each finished stage was made from; see asrkit.pipeline.record."""
        return self.directory / "stages"

    @property
    def logs(self) -> Path:
        """<stage>.log: what each stage printed, with times."""
        return self.directory / "logs"


def open_experiment(directory: Path, jobs: int = 1) -> Experiment:
    """An experiment that was run before, with the settings that its stages were made with.

    Raises UserError when there is none. Recipe and corpus may be gone, so nothing may be asked of them.
    """
    file = directory / "recipe.yaml"
    if not file.exists():
        raise UserError(
            f"{directory} is no experiment",
            expected="a folder that asrkit run wrote, with recipe.yaml in it",
            where=str(file),
            todo="check the name",
        )
    corpus = remembered_corpus(directory) or directory
    return Experiment(load_config(file, earlier=True), directory.resolve(), corpus, directory, jobs)


def remembered_corpus(directory: Path) -> Optional[Path]:
    """The corpus's folder that the last run in this experiment was given."""
    try:
        name = (directory / CORPUS_NOTE).read_text(encoding="utf-8").rstrip("\n")
    except (OSError, ValueError):
        return None
    return Path(name) if os.path.isabs(name) and "\0" not in name else None


def remember_corpus(experiment: Experiment) -> None:
    """Keep the corpus's folder for commands that aren't given it."""
    if remembered_corpus(experiment.directory) != experiment.corpus_directory:
        write_text(experiment.directory / CORPUS_NOTE, f"{experiment.corpus_directory}\n")


def write_settings(directory: Path, config: RecipeConfig) -> None:
    """Write settings to EXP/recipe.yaml."""
    text = yaml.safe_dump(msgspec.to_builtins(config), sort_keys=False, allow_unicode=True)
    file = directory / "recipe.yaml"
    if not file.is_file() or file.read_bytes() != text.encode("utf-8"):
        write_text(file, text)


def with_values(config: RecipeConfig, values: Mapping[str, Any]) -> RecipeConfig:
    """Settings with some replaced, by flat names: {"train.epochs": 3}. Unknown names are passed over."""
    tree: Dict[str, Any] = msgspec.to_builtins(config)
    for key, value in values.items():
        *sections, name = key.split(".")
        section = tree
        for part in sections:
            section = section.get(part, {})
        if name in section:
            section[name] = value
    return msgspec.convert(tree, RecipeConfig)
