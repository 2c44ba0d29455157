"""What is installed here and what this machine has: facts only, gathered without failing."""

import contextlib
import dataclasses
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import platform
import re
import shutil
import sys
from pathlib import Path
from typing import Any, Dict, FrozenSet, Iterator, List, Optional, Sequence, Tuple

from asrkit.pipeline.machine import count_cores

REQUIRED = (
    "numpy", "lilcom", "soundfile", "msgspec", "pyyaml", "safetensors", "sentencepiece", "kaldialign",
    "tqdm", "click", "jinja2", "urllib3", "tensorboard", "matplotlib", "six",
)  # fmt: skip
OPTIONAL = ("kenlm", "pyctcdecode", "py-nanotts")


@dataclasses.dataclass(frozen=True)
class Gpu:
    """One CUDA device, and whether the kernels inside this torch run on it."""

    name: str
    memory: int  # bytes
    capability: Tuple[int, int]
    supported: bool


@dataclasses.dataclass(frozen=True)
class Environment:
    """Versions are None where a package is missing; errors are None where nothing is wrong."""

    python: str
    system: str
    cores: int
    memory: Optional[int]  # bytes
    free_disk: int  # bytes, where asrkit is asked to look
    torch: Optional[str] = None
    torch_error: Optional[str] = None  # from import torch
    torch_cuda: Optional[str] = None  # the CUDA that torch was built with
    numpy_error: Optional[str] = None  # from turning a tensor into an array
    sampler_wants_data: bool = False  # torch's Sampler has a required argument
    gpus: Tuple[Gpu, ...] = ()
    driver: bool = False  # an NVIDIA driver is loaded
    k2: Optional[str] = None
    k2_torch: Optional[str] = None  # the torch that k2 was built for
    k2_cuda: Optional[str] = None  # likewise; "" for a build without CUDA
    k2_error: Optional[str] = None  # from import k2
    lhotse: Optional[str] = None
    lhotse_error: Optional[str] = None
    packages: Dict[str, Optional[str]] = dataclasses.field(default_factory=dict)  # REQUIRED, OPTIONAL
    lmplz: Optional[str] = None  # its path
    shadowed: Dict[str, Path] = dataclasses.field(default_factory=dict)  # what is imported instead
    standard_shadowed: Tuple[Path, ...] = ()  # modules that hide Python's own


def gather_environment(folder: Path, lmplz: Optional[str]) -> Environment:
    """The facts of this process's environment; `folder` is where free disk space is looked at."""
    facts: Dict[str, Any] = {"torch": _version("torch"), "k2": _version("k2"), "lhotse": _version("lhotse")}
    names = (*facts, *REQUIRED, *OPTIONAL)
    shadowed = {name: file for name in names if (file := find_shadow(name)) is not None}
    if facts["torch"] is not None and "torch" not in shadowed:
        facts.update(_torch_facts())
    if facts["k2"] is not None and "k2" not in shadowed:
        facts["k2_torch"], facts["k2_cuda"] = read_k2_build()
        facts["k2_error"] = _import_error("k2")
    if facts["lhotse"] is not None and "lhotse" not in shadowed:
        facts["lhotse_error"] = _import_error("lhotse")
    return Environment(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        cores=count_cores(),
        memory=_usable_memory(),
        free_disk=shutil.disk_usage(folder).free,
        driver=Path("/proc/driver/nvidia/version").exists(),
        packages={name: _version(name) for name in (*REQUIRED, *OPTIONAL)},
        lmplz=lmplz,
        shadowed=shadowed,
        standard_shadowed=tuple(_standard_shadows()),
        **facts,
    )


def find_shadow(package: str) -> Optional[Path]:
    """What is imported in place of an installed package, such as one that PYTHONPATH names; None: nothing."""
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
    """Modules that are found before those of the standard library of the same name."""
    names: FrozenSet[str] = getattr(sys, "stdlib_module_names", frozenset())  # from Python 3.10 on
    standard = Path(os.__file__).resolve().parent
    for entry in map(Path, sys.path):
        if entry.resolve() == standard:
            return
        for file in sorted(entry.iterdir()) if entry.is_dir() else []:
            module = file.suffix in (".py", ".so") or (file / "__init__.py").exists()
            if module and file.name.partition(".")[0] in names - {"test"}:
                yield file.absolute()


def read_k2_build() -> Tuple[Optional[str], Optional[str]]:
    """The torch and the CUDA that the installed k2 was built for, read without importing it.

    Importing k2 beside another torch fails, and then the build is what one wants to know.
    """
    specification = importlib.util.find_spec("k2")
    if specification is None or not specification.submodule_search_locations:
        return None, None
    try:
        file = Path(next(iter(specification.submodule_search_locations))) / "torch_version.py"
        text = file.read_text(encoding="utf-8")
    except OSError:
        return None, None
    found = dict(re.findall(r'^(k2_torch\w*version)\s*=\s*"([^"]*)"', text, re.MULTILINE))
    return found.get("k2_torch_version"), found.get("k2_torch_cuda_version")


def _torch_facts() -> Dict[str, Any]:
    error = _import_error("torch")
    if error is not None:
        return {"torch_error": error}
    import torch

    facts: Dict[str, Any] = {"torch": torch.__version__, "torch_cuda": torch.version.cuda}
    try:
        torch.zeros(1).numpy()
    except Exception as failure:  # another numpy, or none
        facts["numpy_error"] = str(failure)
    parameters = inspect.signature(torch.utils.data.Sampler.__init__).parameters
    source = parameters.get("data_source")
    facts["sampler_wants_data"] = source is not None and source.default is inspect.Parameter.empty
    facts["gpus"] = tuple(_gpus(torch))
    return facts


def _gpus(torch: Any) -> List[Gpu]:
    if not torch.cuda.is_available():
        return []
    gpus = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        capability = (properties.major, properties.minor)
        supported = runs_on(torch.cuda.get_arch_list(), capability)
        gpus.append(Gpu(properties.name, properties.total_memory, capability, supported))
    return gpus


def runs_on(architectures: Sequence[str], capability: Tuple[int, int]) -> bool:
    """Whether kernels built for "sm_80", "compute_90" and so on run on a GPU of that compute capability.

    Machine code (sm) runs on the same major number from its minor number on; PTX (compute) on all later GPUs.
    """
    for kind, major, minor in re.findall(r"\b(sm|compute)_(\d+)(\d)", " ".join(architectures)):
        least = (int(major), int(minor))
        if least <= capability and (kind == "compute" or least[0] == capability[0]):
            return True
    return False


def _import_error(module: str) -> Optional[str]:
    try:
        importlib.import_module(module)
    except Exception as error:  # whatever a foreign module raises is what the user must read
        return " ".join(f"{error}".split()) or type(error).__name__
    return None


def _version(package: str) -> Optional[str]:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _usable_memory() -> Optional[int]:
    """Bytes of memory, or of the control group's limit where that is less."""
    sizes = []
    try:
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        sizes.append(int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    except (OSError, ValueError):  # no control group, or its limit is "max"
        pass
    return min(sizes) if sizes else None
