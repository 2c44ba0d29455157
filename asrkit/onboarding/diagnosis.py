"""Whether what is installed here fits together, and what to type where it doesn't."""

import dataclasses
import os
import re
import site
from pathlib import Path
from typing import List, Literal, Optional

from asrkit.onboarding.environment import OPTIONAL, REQUIRED, Environment

K2_PAGE = "https://k2-fsa.github.io/k2/"
PYPI_TORCH = "1.13.1"  # the torch that k2's newest wheels on PyPI are built for
PYPI_PYTHONS = ("3.9", "3.10", "3.11")
GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the report; `todo` is what to type where it isn't ok."""

    state: Literal["ok", "warn", "broken"]
    subject: str
    text: str
    todo: str = ""


def examine(environment: Environment) -> List[Finding]:
    """Everything there is to say about an environment, in the order of the report."""
    versions = {"torch": environment.torch, "k2": environment.k2, "lhotse": environment.lhotse}
    versions.update(environment.packages)
    shadows = {
        name: Finding("broken", name, f"{versions[name]}, but {file} is imported", _remove(file))
        for name, file in environment.shadowed.items()
    }
    return [
        _examine_python(environment),
        shadows.get("torch") or _examine_torch(environment),
        shadows.get("k2") or _examine_k2(environment),
        shadows.get("lhotse") or _examine_lhotse(environment),
        *(shadows.get(name) or _examine_package(environment, name) for name in (*REQUIRED, *OPTIONAL)),
        _examine_lmplz(environment),
        *_examine_gpus(environment),
        *_examine_machine(environment),
    ]


def report_lines(findings: List[Finding]) -> List[str]:
    """Aligned lines, each with what to type below it, and the verdict last."""
    width = max(len(finding.subject) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.state:6}  {finding.subject:{width}}  {finding.text}")
        for number, todo in enumerate(finding.todo.splitlines()):
            lines.append(f"{'':6}  {'':{width}}  {'       ' if number else 'to do: '}{todo}")
    broken = [finding.subject for finding in findings if finding.state == "broken"]
    lines.append(f"broken: {', '.join(broken)}" if broken else "all that asrkit needs is here")
    return lines


def k2_command(torch: str, cuda: Optional[str], python: str) -> str:
    """What to type for the k2 that fits a torch version such as "2.2.0+cu121"."""
    release = torch.split("+")[0]
    if release == PYPI_TORCH and cuda in (None, "11.7") and _minor(python) in PYPI_PYTHONS:
        return "make setup (or: pip install --no-deps --require-hashes -r requirements/k2.txt)"
    build, page = (f"cuda{cuda}", "cuda.html") if cuda else ("cpu", "cpu.html")
    cp = "cp" + _minor(python).replace(".", "")
    return (
        f"pip install k2==VERSION+{build}.torch{release} -f {K2_PAGE}{page}\n"
        f"with the VERSION (1.24.4.devDATE) of a line of that page with {build}.torch{release}-{cp};\n"
        f"where it lists none, take a torch that it lists, or build k2 from source ({K2_PAGE})"
    )


def _examine_python(environment: Environment) -> Finding:
    text = f"{environment.python} on {environment.system}"
    if not environment.standard_shadowed:
        return Finding("ok", "python", text)
    files = environment.standard_shadowed
    text += f"; before its own modules it finds {', '.join(map(str, files[:5]))}"
    return Finding("warn", "python", text, _remove(files[0]))


def _remove(file: Path) -> str:
    """What to type so that a module isn't found before the right one."""
    folder = file.parent.parent if file.name == "__init__.py" else file.parent
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if any(os.path.abspath(entry) == str(folder) for entry in named):
        return f"unset PYTHONPATH, which names {folder}, or take that out of it"
    if str(folder).startswith(site.getusersitepackages()):
        return "export PYTHONNOUSERSITE=1, or pip uninstall it there"
    return f"rename {file}, or run asrkit in another folder"


def _examine_torch(environment: Environment) -> Finding:
    if environment.torch is None:
        return Finding("broken", "torch", "missing", "make setup")
    text = f"{environment.torch}, built for " + (
        f"CUDA {environment.torch_cuda}" if environment.torch_cuda else "the CPU"
    )
    if environment.torch_error is not None:
        return Finding("broken", "torch", f"{text}: {environment.torch_error}", "make setup")
    if environment.numpy_error is not None:
        numpy = environment.packages.get("numpy")
        todo = "pip install 'numpy<2'" if numpy and int(numpy.split(".")[0]) >= 2 else "pip install numpy"
        return Finding("broken", "torch", f"{text}: no arrays of numpy {numpy}", todo)
    return Finding("ok", "torch", text)


def _examine_k2(environment: Environment) -> Finding:
    todo = ""
    if environment.torch is not None:
        todo = k2_command(environment.torch, environment.torch_cuda, environment.python)
    if environment.k2 is None:
        return Finding("broken", "k2", "missing: no graphs, no lattice decoding", todo or "make setup")
    text = f"{environment.k2}, built for torch {environment.k2_torch or 'unknown'}"
    if environment.torch is None:
        return Finding("broken", "k2", f"{text}; torch is missing", "make setup")
    if environment.k2_torch and _release(environment.k2_torch) != _release(environment.torch):
        return Finding("broken", "k2", f"{text}; found torch {environment.torch}", todo)
    if environment.k2_cuda and environment.torch_cuda and environment.k2_cuda != environment.torch_cuda:
        text += f" and CUDA {environment.k2_cuda}; found torch for CUDA {environment.torch_cuda}"
        return Finding("broken", "k2", text, todo)
    if environment.k2_error is not None:
        return Finding("broken", "k2", f"{text}: {environment.k2_error}", todo)
    if environment.gpus and not environment.k2_cuda:
        return Finding("warn", "k2", f"{text}, without CUDA: lattices on the CPU only", todo)
    return Finding("ok", "k2", text)


def _examine_lhotse(environment: Environment) -> Finding:
    if environment.lhotse is None:
        return Finding("broken", "lhotse", "missing", "make setup")
    if environment.lhotse_error is not None:
        text = f"{environment.lhotse}: {environment.lhotse_error}"
        return Finding("broken", "lhotse", text, "make setup")
    # From 1.32 on its samplers call Sampler.__init__() without the argument that older torches want.
    if environment.sampler_wants_data and _numbers(environment.lhotse) >= [1, 32]:
        text = f"{environment.lhotse}: its samplers fail with torch {environment.torch}"
        return Finding("broken", "lhotse", text, "pip install lhotse==1.31.1")
    return Finding("ok", "lhotse", environment.lhotse)


def _examine_package(environment: Environment, name: str) -> Finding:
    version = environment.packages.get(name)
    if version is not None:
        return Finding("ok", name, version)
    if name == "kenlm":
        text = "missing: no perplexity of n-gram models"
        todo = "make setup, which compiles it with g++ and Python's headers (apt-get install g++ python3-dev)"
        return Finding("broken", name, text, todo)
    if name == "pyctcdecode":
        lost = "missing: no method prefix-beam-search"
        return Finding("warn", name, lost, "pip install pyctcdecode")
    if name == "py-nanotts":
        return Finding("warn", name, "missing: recipes/demo can't speak its corpus", "pip install py-nanotts")
    return Finding("broken", name, "missing", f"make setup, or: pip install {name}")


def _examine_lmplz(environment: Environment) -> Finding:
    if environment.lmplz is None:
        text = "not built: n-gram models are estimated by the built-in code only"
        return Finding("warn", "lmplz", text, "make lmplz, where large texts make the built-in code slow")
    return Finding("ok", "lmplz", environment.lmplz)


def _examine_gpus(environment: Environment) -> List[Finding]:
    findings = []
    for gpu in environment.gpus:
        number = ".".join(str(part) for part in gpu.capability)
        text = f"{gpu.name}, {gpu.memory / GIB:.0f} GiB, compute capability {number}"
        if gpu.supported:
            findings.append(Finding("ok", "gpu", text))
            continue
        text += f": torch {environment.torch} has no kernels for it"
        todo = (
            f"a newer torch with the k2 that fits it ({K2_PAGE}cuda.html lists the pairs),\n"
            "or hide it and run on the CPU: export CUDA_VISIBLE_DEVICES="
        )
        findings.append(Finding("broken", "gpu", text, todo))
    if not environment.gpus and environment.driver:
        text = f"torch {environment.torch} doesn't reach the NVIDIA GPU of this machine: runs on the CPU"
        todo = "a torch built for the driver's CUDA (nvidia-smi shows it), then asrkit doctor again"
        return [Finding("warn", "gpu", text, todo)]
    return findings or [Finding("ok", "gpu", "none: runs on the CPU")]


def _examine_machine(environment: Environment) -> List[Finding]:
    findings = [Finding("ok", "cores", str(environment.cores))]
    if environment.memory is not None:
        text = f"{environment.memory / GIB:.1f} GiB"
        short = environment.memory < 3 * GIB
        todo = "lower train.batch_duration and decode.batch_duration, and --nj 1" if short else ""
        findings.append(Finding("warn" if short else "ok", "memory", text, todo))
    text = f"{environment.free_disk / GIB:.1f} GiB free here"
    short = environment.free_disk < 2 * GIB
    todo = "free some, or --exp on another disk" if short else ""
    findings.append(Finding("warn" if short else "ok", "disk", text, todo))
    return findings


def _release(version: str) -> str:
    return version.split("+")[0]


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])


def _numbers(version: str) -> List[int]:
    return [int(digits) for digits in re.findall(r"\d+", _release(version))]
