"""The corpus-specific code of a recipe: local/<module>.py."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import asrkit
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment

REPOSITORY = Path(asrkit.__file__).resolve().parent.parent


def local_file(experiment: Experiment) -> Path:
    """Where local/<module>.py is: beside the recipe's folders, else beside the library.

    Raises UserError when neither has it.
    """
    name = experiment.config.corpus.module
    for folder in [*experiment.recipe_directory.resolve().parents, REPOSITORY]:
        file = folder / "local" / f"{name}.py"
        if file.is_file():
            return file
    raise UserError(
        f"corpus.module is {name!r}, and there is no local/{name}.py",
        expected="a module that lists the corpus's utterances",
        where=str(experiment.recipe_directory / "recipe.yaml"),
        todo="correct corpus.module, or write that module (README.md, how to add a corpus)",
    )


def load_local(experiment: Experiment) -> ModuleType:
    """Import local/<module>.py of the experiment's recipe."""
    file = local_file(experiment)
    if str(file.parent.parent) not in sys.path:
        sys.path.append(str(file.parent.parent))  # so that it may import its neighbours: local.<other>
    name = f"local.{file.stem}"
    specification = importlib.util.spec_from_file_location(name, file)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module
