"""Fingerprints of the code that a stage runs: its module and all that it imports.

Layout, comments, docstrings and messages don't count: they change no result.
"""

import ast
import importlib.util
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.stage import Stage
from asrkit.storage.fingerprint import FingerprintCache, hash_bytes

# These don't change a stage's output; settings are compared one by one
EXCLUDED = ("asrkit.config", "asrkit.errors", "asrkit.pipeline", "asrkit.stages", "asrkit.cli")


def stage_modules(stage: Stage, experiment: Experiment) -> List[str]:
    """The modules that a stage runs."""
    modules = [stage.module] if stage.module else []
    return [*modules, *([f"local.{experiment.config.corpus.module}"] if stage.corpus_code else [])]


def code_fingerprints(
    modules: Sequence[str], experiment: Experiment, cache: FingerprintCache
) -> Dict[str, str]:
    """Hash of each source file that the modules import, themselves included, by path in the project.

    Imports inside functions count.
    """
    folders = _package_folders(modules, experiment)
    pending = list(modules)
    seen: Set[str] = set()
    fingerprints: Dict[str, str] = {}
    while pending:
        module = pending.pop()
        found = _find(module, folders) if module not in seen else None
        seen.add(module)
        if found is None or (_is_excluded(module) and module not in modules):
            continue
        name, file = found
        fingerprint, imports = cache.remember(file, "code", Tuple[str, List[str]], _analyse)
        fingerprints[name] = fingerprint
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        for imported in imports:
            pending.extend(_with_packages(importlib.util.resolve_name(imported, package)))
    return dict(sorted(fingerprints.items()))


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Dotted names that a module may import, relative ones with their dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield base
            # `from package import name`: the name may be a module
            joint = "" if base.endswith(".") else "."
            yield from (f"{base}{joint}{alias.name}" for alias in node.names)


def _analyse(file: Path) -> Tuple[str, List[str]]:
    source = file.read_bytes()
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return hash_bytes(source), []  # the stage will report it
    imports = sorted(set(imported_names(tree)))
    return hash_bytes(ast.unparse(_WithoutMessages().visit(tree)).encode("utf-8")), imports


MESSAGES = frozenset(
    ["found", "expected", "where", "todo", "fault", "message"]
)  # variables for parts of errors


class _WithoutMessages(ast.NodeTransformer):
    """Removes docstrings, what is printed, and the texts of errors."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return super().generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = getattr(node.func, "id", "")
        if name in ("print", "UserError", "Progress", "Divergence", "AudioProblem"):
            node.args, node.keywords = [], []
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        names = {
            name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)
        }
        parts = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        is_text = all(isinstance(part, ast.JoinedStr) or _is_string(part) for part in parts)
        if names <= MESSAGES and is_text:
            node.value = ast.Constant("")
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            node.exc.args, node.exc.keywords = [], []
        return self.generic_visit(node)


def _is_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _package_folders(modules: Sequence[str], experiment: Experiment) -> Dict[str, Path]:
    """Folders of the packages whose code counts."""
    packages = {"asrkit", *(module.partition(".")[0] for module in modules)}
    folders = {"local": experiment.local_directory} if "local" in packages else {}
    for package in packages - {"local"}:
        specification: Any = importlib.util.find_spec(package)
        if specification is not None and specification.submodule_search_locations:
            folders[package] = Path(next(iter(specification.submodule_search_locations)))
    return folders


def _find(module: str, folders: Dict[str, Path]) -> Optional[Tuple[str, Path]]:
    package, *rest = module.split(".")
    if package not in folders or (package == "asrkit" and not rest):
        return None
    place = folders[package].joinpath(*rest)
    for file in (place.with_suffix(".py"), place / "__init__.py"):
        if file.is_file():
            return str(file.relative_to(folders[package].parent)), file
    return None


def _is_excluded(module: str) -> bool:
    return any(module == name or module.startswith(name + ".") for name in EXCLUDED)


def _with_packages(module: str) -> Iterator[str]:
    """a, a.b and a.b.c for a.b.c: importing it runs them all."""
    parts = module.split(".")
    return (".".join(parts[: count + 1]) for count in range(len(parts)))
