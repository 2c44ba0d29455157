"""asrkit doctor: which package of this environment is broken, and the command that fixes it."""

import contextlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import platform
import re
import site
import sys
from pathlib import Path
from typing import FrozenSet, Iterator, List, Literal, NamedTuple, Optional, Tuple

K2_PAGE = "https://k2-fsa.github.io/k2/"
PYPI_TORCH = "1.13.1"  # k2's newest wheels on PyPI are built for this torch,
PYPI_CUDA = "11.7"  # this CUDA
PYPI_PYTHONS = ("3.9", "3.10", "3.11")  # and these Pythons
SETUP = "make setup"
REQUIRED = (
    "torch", "k2", "lhotse", "numpy", "lilcom", "soundfile", "msgspec", "pyyaml", "safetensors",
    "sentencepiece", "kaldialign", "tqdm", "click", "jinja2", "urllib3", "tensorboard", "matplotlib", "six",
    "kenlm",
)  # fmt: skip
OPTIONAL = {"pyctcdecode": "no CTC prefix beam search", "py-nanotts": "recipes/demo can't make its corpus"}
State = Literal["ok", "warn", "broken"]


class Finding(NamedTuple):
    """One line of the report; `todo` is the command that fixes what isn't ok."""

    state: State
    subject: str
    text: str
    todo: str = ""


def diagnose() -> Iterator[Finding]:
    """Check Python, every package that asrkit uses, and the GPU."""
    python = platform.python_version()
    text, shadows = f"{python} on {platform.system()} {platform.machine()}", list(_standard_shadows())
    if shadows:
        text += f"; these files hide its own modules: {', '.join(map(str, shadows[:5]))}"
    yield Finding("warn" if shadows else "ok", "python", text, _remove(shadows[0]) if shadows else "")
    for name in (*REQUIRED, *OPTIONAL):
        version, shadow = _version(name), find_shadow(name)
        if version is None:
            yield _missing(name, python)
        elif shadow is not None:
            yield Finding("broken", name, f"{version}, but {shadow} is imported", _remove(shadow))
        else:
            fault, todo = _fault(name, version, python)
            state: State = "broken" if fault else "ok"
            if name == "k2" and not fault:
                fault, todo = _lack_of_cuda(python)
                state = "warn" if fault else "ok"
            yield Finding(state, name, f"{version}: {fault}" if fault else version, todo)
    yield _gpu()


def report_lines(findings: List[Finding]) -> Iterator[str]:
    """Aligned lines, each followed by what to type, and the verdict last."""
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        yield f"{finding.state:6}  {finding.subject:{width}}  {finding.text}"
        for number, todo in enumerate(finding.todo.splitlines()):
            yield f"{'':6}  {'':{width}}  {'       ' if number else 'to do: '}{todo}"
    broken = [finding.subject for finding in findings if finding.state == "broken"]
    yield f"broken: {', '.join(broken)}" if broken else "all required packages work"


def k2_command(torch: str, cuda: Optional[str], python: str) -> str:
    """The command that installs the k2 build for a torch such as "2.2.0+cu121"."""
    release, minor = torch.split("+")[0], ".".join(python.split(".")[:2])
    if release == PYPI_TORCH and cuda in (None, PYPI_CUDA) and minor in PYPI_PYTHONS:
        return f"{SETUP} (or: pip install --no-deps --require-hashes -r requirements/k2.txt)"
    build = f"cuda{cuda}.torch{release}" if cuda else f"cpu.torch{release}"
    page = "cuda.html" if cuda else "cpu.html"
    return (
        f"pip install k2==VERSION+{build} -f {K2_PAGE}{page}\n"
        f"VERSION (1.24.4.devDATE) is that of a wheel on this page with {build}-cp{minor.replace('.', '')},\n"
        f"or with its address, so that later runs of make keep it: {SETUP} TORCH={release} K2=ADDRESS;\n"
        f"if there is none, install a torch that the page lists, or build k2 from source ({K2_PAGE})"
    )


def k2_mismatch(k2_torch: str, k2_cuda: Optional[str], torch: str, cuda: Optional[str]) -> str:
    """Why a k2 built for one torch and CUDA doesn't work with the installed ones; empty if it does."""
    if k2_torch.split("+")[0] != torch.split("+")[0]:
        return f"built for torch {k2_torch}, found torch {torch}"
    if k2_cuda and cuda and k2_cuda != cuda:
        return f"built for CUDA {k2_cuda}, found torch for CUDA {cuda}"
    return ""


def read_k2_build() -> Optional[Tuple[str, str]]:
    """The torch and CUDA versions that the installed k2 was built for.

    Read from its file torch_version.py, because importing k2 with another torch fails.
    """
    specification = importlib.util.find_spec("k2")
    text = ""
    for folder in (specification and specification.submodule_search_locations) or []:
        with contextlib.suppress(OSError):
            text += (Path(folder) / "torch_version.py").read_text(encoding="utf-8")
    found = dict(re.findall(r'^(k2_torch\w*version)\s*=\s*"([^"]*)"', text, re.MULTILINE))
    if "k2_torch_version" not in found:
        return None
    return found["k2_torch_version"], found.get("k2_torch_cuda_version", "")


def find_shadow(package: str) -> Optional[Path]:
    """The file that is imported instead of an installed package (PYTHONPATH, working directory), if any."""
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in distribution.files or []:
        is_module = len(file.parts) == 1 and file.suffix in (".py", ".so")
        if not is_module and (len(file.parts) != 2 or file.name != "__init__.py"):
            continue
        installed = Path(str(distribution.locate_file(file)))
        with contextlib.suppress(ImportError, ValueError):
            specification = importlib.util.find_spec(file.parts[0].partition(".")[0])
            origin = Path(specification.origin or "") if specification else installed
            if installed.exists() and origin.resolve() != installed.resolve():
                return origin
    return None


def _standard_shadows() -> Iterator[Path]:
    """Files on the import path that hide modules of the standard library."""
    names: FrozenSet[str] = getattr(sys, "stdlib_module_names", frozenset())  # Python 3.10 and later
    standard = Path(os.__file__).resolve().parent
    for entry in map(Path, sys.path):
        if entry.resolve() == standard:
            return
        for file in sorted(entry.iterdir()) if entry.is_dir() else []:
            module = file.suffix in (".py", ".so") or (file / "__init__.py").exists()
            if module and file.name.partition(".")[0] in names - {"test"}:
                yield file.absolute()


def _remove(file: Path) -> str:
    """How to stop a file from hiding the right module."""
    folder = file.parent.parent if file.name == "__init__.py" else file.parent
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if any(os.path.abspath(entry) == str(folder) for entry in named):
        return f"unset PYTHONPATH, which names {folder}, or remove that folder from it"
    if str(folder).startswith(site.getusersitepackages()):
        return "export PYTHONNOUSERSITE=1, or pip uninstall it there"
    return f"rename {file}, or run asrkit in another folder"


def _missing(name: str, python: str) -> Finding:
    if name in OPTIONAL:
        return Finding("warn", name, f"missing: {OPTIONAL[name]}", f"pip install {name}")
    if name == "kenlm" and python.startswith("3.13."):
        text = "missing: it doesn't compile on Python 3.13; methods that query it are refused"
        return Finding("warn", name, text, f"PYTHON=/path/to/python3.12 {SETUP}, in a new clone")
    torch = _build_of_torch() if name == "k2" else None
    todo = {
        "k2": k2_command(*torch, python) if torch else SETUP,
        "kenlm": f"{SETUP}, which compiles it (apt-get install g++ python3-dev)",
    }.get(name, f"{SETUP}, or: pip install {name}")
    return Finding("broken", name, "missing", todo)


def _fault(name: str, version: str, python: str) -> Tuple[str, str]:
    """Why an installed package doesn't work, and what to type; empty if it does."""
    if name == "k2":
        torch, build = _build_of_torch(), read_k2_build()
        if torch is None:
            return "torch doesn't work", SETUP
        fault = (k2_mismatch(*build, *torch) if build else "") or _import_error(name)
        return fault, k2_command(*torch, python) if fault else ""
    if name not in ("torch", "lhotse"):
        return "", ""
    fault = _import_error(name)
    if fault:
        return fault, SETUP
    if name == "torch":
        import torch as imported

        try:
            imported.zeros(1).numpy()
        except Exception as error:  # built for another NumPy
            newer = (_version("numpy") or "0").partition(".")[0] >= "2"
            return f"no arrays of numpy: {error}", "pip install 'numpy<2'" if newer else "pip install numpy"
    if name == "lhotse" and [int(part) for part in re.findall(r"\d+", version)[:2]] >= [1, 32]:
        from torch.utils.data import Sampler

        # lhotse 1.32 and later call Sampler.__init__() without the argument that older torches require.
        source = inspect.signature(Sampler.__init__).parameters.get("data_source")
        if source is not None and source.default is inspect.Parameter.empty:
            return "its samplers don't work with this torch", "pip install lhotse==1.31.1"
    return "", ""


def _lack_of_cuda(python: str) -> Tuple[str, str]:
    """If the machine has a GPU and k2 was built without CUDA: a warning, and the command to type; else ""."""
    torch, k2 = _build_of_torch(), sys.modules.get("k2")
    if torch is None or k2 is None or k2.with_cuda:
        return "", ""
    import torch as imported

    if not imported.cuda.is_available():
        return "", ""
    losses = "train.ctc: k2, lf-mmi and transducer can't train on the GPU"
    return f"without CUDA: the search runs on the CPU, and {losses}", k2_command(*torch, python)


def _gpu() -> Finding:
    if _build_of_torch() is None or not Path("/proc/driver/nvidia/version").exists():
        return Finding("ok", "gpu", "none: runs on the CPU")
    import torch

    if not torch.cuda.is_available():
        todo = "install a torch for the driver's CUDA version (nvidia-smi prints it), then run asrkit doctor"
        return Finding("warn", "gpu", "torch doesn't find the NVIDIA GPU: runs on the CPU", todo)
    try:
        torch.zeros(1, device="cuda").add_(1).item()
    except RuntimeError as error:  # no kernels for this GPU
        todo = f"{SETUP} TORCH=2.13.0, then asrkit doctor again,\nor: export CUDA_VISIBLE_DEVICES="
        return Finding("broken", "gpu", str(error).partition("\n")[0], todo)
    return Finding("ok", "gpu", torch.cuda.get_device_name())


def _build_of_torch() -> Optional[Tuple[str, Optional[str]]]:
    """The installed torch and its CUDA version; None if it can't be imported."""
    if find_shadow("torch") is not None or _import_error("torch"):
        return None
    import torch

    return torch.__version__, torch.version.cuda


def _import_error(module: str) -> str:
    try:
        importlib.import_module(module)
    except Exception as error:  # any: it is shown to the user
        return " ".join(f"{error}".split()) or type(error).__name__
    return ""


def _version(package: str) -> Optional[str]:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
