"""Packages import one way, and what every command imports is light."""

import ast
import concurrent.futures
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Dict, Iterator, List, Set

import pytest

from asrkit.pipeline.experiment import REPOSITORY

ORDER = [
    "config",
    "storage",
    "pipeline",
    "corpus",
    "signal",
    "text",
    "model",
    "lm",
    "graph",
    "train",
    "decode",
    "score",
    "recognise",
    "synthesis",
    "deploy",
    "show",
    "onboarding",
    "stages",
    "cli",
]
LIBRARY = REPOSITORY / "asrkit"


def imported_modules(file: Path) -> Iterator[str]:
    """Dotted names that a file imports, anywhere in it."""
    package = file.relative_to(REPOSITORY).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) + 1 - node.level]] if node.level else []
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from (".".join([*base, name]) for name in names)


def packages_of(file: Path) -> Set[str]:
    """Packages of the library that a file imports from; "" for the library itself."""
    modules = (name.split(".") for name in imported_modules(file))
    return {parts[1] if len(parts) > 1 else "" for parts in modules if parts[0] == "asrkit"}


def test_every_package_has_its_place() -> None:
    assert {folder.name for folder in LIBRARY.iterdir() if (folder / "__init__.py").exists()} <= set(ORDER)


@pytest.mark.parametrize("package", ORDER)
def test_a_package_imports_only_from_those_before_it(package: str) -> None:
    allowed = {"", "errors", *ORDER[: ORDER.index(package) + 1]}
    wrong: Dict[str, List[str]] = {}
    for file in sorted((LIBRARY / package).rglob("*.py")):
        extra = packages_of(file) - allowed
        if extra:
            wrong[str(file.relative_to(REPOSITORY))] = sorted(extra)
    assert wrong == {}


def test_errors_import_nothing_of_the_library() -> None:
    assert packages_of(LIBRARY / "errors.py") == set()


def test_the_library_does_not_import_corpora_or_tests() -> None:
    for file in LIBRARY.rglob("*.py"):
        assert not {name.split(".")[0] for name in imported_modules(file)} & {"local", "tests", "benchmarks"}


def test_the_check_sees_imports_in_functions_and_relative_ones(tmp_path: Path) -> None:
    file = LIBRARY / "storage" / "imaginary.py"
    imports = ["from ..cli import run", "import asrkit.train.loop", "from .files import whole_file"]
    source = "def late():\n" + "".join(f"    {line}\n" for line in imports)
    tree = tmp_path / "imaginary.py"
    tree.write_text(source)

    class Elsewhere(type(file)):  # type: ignore[misc]
        def read_bytes(self) -> bytes:
            return tree.read_bytes()

    assert packages_of(Elsewhere(file)) == {"cli", "train", "storage"}


# Modules that are imported only where an extra is installed
OF_EXTRAS = {
    "asrkit.deploy.server": "starlette",
    "asrkit.deploy.websocket": "starlette",
    "asrkit.deploy.home_assistant": "wyoming",
}


def modules() -> List[str]:
    """All modules of the library and of the corpora, without those of extras that aren't installed."""
    files = [file for folder in ("asrkit", "local") for file in sorted((REPOSITORY / folder).rglob("*.py"))]
    names = [".".join(file.relative_to(REPOSITORY).with_suffix("").parts) for file in files]
    return [name for name in names if importlib.util.find_spec(OF_EXTRAS.get(name, "torch")) is not None]


def import_alone(code: str) -> None:
    """Run code in a process of its own."""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.k2
def test_every_module_imports_before_any_other_of_the_library() -> None:
    pytest.importorskip("k2")
    import_alone(
        f"""
import importlib, sys
for name in {modules()}:
    for loaded in [loaded for loaded in sys.modules if loaded.partition(".")[0] in ("asrkit", "local")]:
        del sys.modules[loaded]
    importlib.import_module(name)
"""
    )


@pytest.mark.k2
def test_every_module_with_k2_imports_in_a_process_of_its_own() -> None:
    """k2's libraries need those of torch, which a process that has imported others has loaded."""
    pytest.importorskip("k2")
    files = {name: (REPOSITORY / name.replace(".", "/")).with_suffix(".py") for name in modules()}
    with_k2 = [
        name
        for name, file in files.items()
        for node in ast.parse(file.read_bytes()).body
        if isinstance(node, ast.Import) and {alias.name for alias in node.names} & {"k2", "_k2"}
    ]
    assert "asrkit.decode.search" in with_k2
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: import_alone(f"import {name}"), with_k2))


@pytest.mark.parametrize("module", ["asrkit.cli.main", "asrkit.cli.run", "asrkit.storage.fingerprint"])
def test_what_every_run_imports_is_light(module: str) -> None:
    code = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    assert not {"torch", "lhotse", "k2", "numpy", "tqdm", "jinja2"} & set(output.split())
