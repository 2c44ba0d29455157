"""An experiment: its settings and its folders."""

import dataclasses
import os
from pathlib import Path
from typing import Any, Dict, Mapping, Optional

import msgspec
import yaml

import asrkit
from asrkit.config import RecipeConfig, load_config
from asrkit.config.load import transforms_of
from asrkit.errors import UserError
from asrkit.pipeline.cluster import LOCAL
from asrkit.storage.files import write_text

REPOSITORY = Path(asrkit.__file__).resolve().parent.parent
CORPUS_NOTE = "stages/corpus_dir"  # the corpus folder of the last run


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Settings and folders of one run of a recipe. Each stage writes EXP/STAGE."""

    config: RecipeConfig
    directory: Path  # EXP: where all stages write
    corpus_directory: Path  # the corpus as published; read only, except by stage download
    recipe_directory: Path  # recipes/<corpus>: recipe.yaml, expect.json, lexicon
    jobs: int  # parallel processes
    cluster: str = LOCAL  # where they run
    # By stage: the folder that a running stage writes until it has finished, if that isn't EXP/STAGE
    folders: Mapping[str, Path] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise UserError for a folder whose name JSON can't hold."""
        for folder in (self.directory, self.corpus_directory, self.recipe_directory):
            try:
                str(folder).encode("utf-8")
            except UnicodeEncodeError:
                found = f"the name of the folder {folder} isn't UTF-8"
                todo = "rename it, or make a link to it with another name"
                raise UserError(found, "a name that JSON can hold", str(folder), todo) from None

    def folder(self, stage: str) -> Path:
        """The folder that a stage wrote or, while it runs, writes."""
        return self.folders.get(stage, self.directory / stage)

    def place(self, name: str) -> Path:
        """A file by its name in records: "lm/lm.arpa" is in the folder of stage lm."""
        stage, _, rest = name.partition("/")
        return self.folder(stage) / rest

    @property
    def local_directory(self) -> Path:
        """local/ of the recipe's repository, else that of the library."""
        for folder in self.recipe_directory.resolve().parents:
            if (folder / "local" / f"{self.config.corpus.module}.py").is_file():
                return folder / "local"
        return REPOSITORY / "local"

    def named(self, name: str) -> Path:
        """The file or folder that a setting names: in the recipe, else in the corpus, or an absolute path."""
        own, of_corpus = self.recipe_directory / name, self.corpus_directory / name
        return of_corpus if of_corpus.exists() and not own.exists() else own

    @property
    def records(self) -> Path:
        """STAGE.json: what each finished stage was made from; see asrkit.pipeline.record."""
        return self.directory / "stages"

    @property
    def logs(self) -> Path:
        """STAGE.log: what each stage printed, with times."""
        return self.directory / "logs"


def open_experiment(directory: Path, jobs: int = 1) -> Experiment:
    """An experiment that was run before, with the settings that its stages were run with.

    Raises UserError if there is none. Recipe and corpus may be gone.
    """
    file = directory / "recipe.yaml"
    if not file.exists():
        expected = "a folder that asrkit run wrote, with recipe.yaml in it"
        raise UserError(f"{directory} is no experiment", expected, str(file), "check the name")
    corpus = remembered_corpus(directory) or directory
    return Experiment(load_config(file, earlier=True), directory.resolve(), corpus, directory, jobs)


def remembered_corpus(directory: Path) -> Optional[Path]:
    """The corpus folder of the last run of this experiment."""
    try:
        name = (directory / CORPUS_NOTE).read_text(encoding="utf-8").rstrip("\n")
    except (OSError, ValueError):
        return None
    return Path(name) if os.path.isabs(name) and "\0" not in name else None


def remember_corpus(experiment: Experiment) -> None:
    """Write the corpus folder down for commands that aren't given it, if it is there: it may be misspelt."""
    folder = experiment.corpus_directory
    if folder.is_dir() and remembered_corpus(experiment.directory) != folder:
        write_text(experiment.directory / CORPUS_NOTE, f"{folder}\n")


def write_settings(directory: Path, config: RecipeConfig) -> None:
    """Write settings to EXP/recipe.yaml."""
    text = yaml.safe_dump(msgspec.to_builtins(config), sort_keys=False, allow_unicode=True)
    file = directory / "recipe.yaml"
    if not file.is_file() or file.read_bytes() != text.encode("utf-8"):
        write_text(file, text)


def with_values(config: RecipeConfig, values: Mapping[str, Any]) -> RecipeConfig:
    """Settings with some replaced, by flat names: {"train.epochs": 3}. Unknown names are ignored."""
    tree: Dict[str, Any] = msgspec.to_builtins(config)
    for key, value in values.items():
        *sections, name = key.split(".")
        if "augment" in (name, *sections[:1]):
            continue
        section = tree
        for part in sections:
            section = section.get(part, {})
        if name in section:
            section[name] = value
    if "augment" in values:
        tree["augment"] = transforms_of(values)
    return msgspec.convert(tree, RecipeConfig)
