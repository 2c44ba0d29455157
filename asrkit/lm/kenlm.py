"""kenlm: its models, from ARPA files or mapped binary files, and its programs, if they are built."""

import contextlib
import mmap
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Iterable, List, Optional, Sequence

from asrkit.errors import UserError
from asrkit.lm.arpa import ngram_counts
from asrkit.lm.counts import no_ngrams
from asrkit.lm.tokens import split_sentences
from asrkit.pipeline.machine import find_program
from asrkit.storage.files import whole_file
from asrkit.storage.fingerprint import hash_bytes, hash_file

BINARY = ".binary"  # suffix of a model in kenlm's binary format
_MAGIC = b"mmap lm "  # kenlm maps a file that begins so without any check, whatever its name
_SEAL_BYTES = len(hash_bytes(b"")) + 1
_SORTING_MEMORY = "1G"  # lmplz's default is 80 % of the machine's; beyond this it sorts on disk


def load_kenlm(arpa: Path, given: Optional[Path] = None) -> Any:
    """kenlm's model; raises UserError without kenlm, or if the file isn't a model of order 2 or more.

    The binary file beside it is used if it was made from it. `given`: the user's file, to name in errors.
    """
    try:
        import kenlm
    except ImportError:
        todo = "make setup, or: pip install kenlm (a C++ compiler and cmake are needed)"
        raise UserError("kenlm isn't installed", "its Python module", "import kenlm", todo) from None
    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    try:
        with open(arpa, "rb") as stream:
            if stream.read(len(_MAGIC)) == _MAGIC:
                raise OSError("it is a binary file, not an ARPA file")
        return kenlm.Model(str(_binary_of(arpa) or arpa), config)
    except (OSError, RuntimeError, ValueError) as error:  # ValueError: kenlm's message is not UTF-8
        found, file = f"kenlm can't read {given or arpa}: {error}", str(given or arpa)
        todo = "fix that file" if given else "run.sh --stage lm regenerates it"
        if _is_unigram(arpa):
            found = f"{given or arpa} is a model of order 1"
            todo = "set a larger lm.order or lm.arpa, or a smaller lm.prune, or choose other decode.methods"
        raise UserError(found, "a model of order 2 or more", file, todo) from None


def _is_unigram(arpa: Path) -> bool:
    with contextlib.suppress(UserError):  # not an ARPA file: kenlm's message is shown
        return len(ngram_counts(arpa)) == 1
    return False


def write_binary(arpa: Path) -> Optional[Path]:
    """Write a model in kenlm's binary format beside its ARPA file; not without build_binary, nor for order 1.

    load_kenlm maps it at once; reading a large ARPA file takes minutes. Raises UserError if build_binary
    fails.
    """
    program = find_program("build_binary")
    if program is None or len(ngram_counts(arpa)) == 1:
        return None
    binary = arpa.with_suffix(BINARY)
    with whole_file(binary) as temporary:
        options = ["-T", f"{temporary}-sort", str(arpa), str(temporary)]
        _run([program, *options], "remove build_binary, which isn't needed, or: make lmplz")
        seal_binary(temporary, arpa)
    return binary


def seal_binary(binary: Path, arpa: Path) -> None:
    """Append a checksum of a binary file and the ARPA file that it was made from; kenlm doesn't read it."""
    seal = _seal(binary, binary.stat().st_size, arpa)
    with open(binary, "ab") as stream:
        stream.write(seal)


def _seal(binary: Path, size: int, arpa: Path) -> bytes:
    with open(binary, "rb") as stream, mmap.mmap(stream.fileno(), size, prot=mmap.PROT_READ) as content:
        hashed = hash_bytes(content)  # type: ignore[arg-type]  # of its pages, one after the other
        return f"{hash_bytes(f'{hashed} {hash_file(arpa)}'.encode())}\n".encode()


def _binary_of(arpa: Path) -> Optional[Path]:
    """The unchanged binary file that was made from the ARPA file, if there is one."""
    binary = arpa.with_suffix(BINARY)
    if not binary.is_file():
        return None
    size = binary.stat().st_size - _SEAL_BYTES
    if size > 0:
        with open(binary, "rb") as stream:
            stream.seek(size)
            if stream.read() == _seal(binary, size, arpa):
                return binary
    print(f"lm: {binary} is damaged, or wasn't made from {arpa.name}, which is read instead", flush=True)
    return None


def require_lmplz() -> str:
    """The program lmplz; raises UserError if it isn't built."""
    program = find_program("lmplz")
    if program is None:
        expected = f"lmplz in {Path(sys.executable).parent} or on PATH"
        todo = "make lmplz, or --set lm.estimator=builtin, which gives the same model"
        raise UserError("lmplz isn't built", expected, "lm.estimator: lmplz", todo)
    return program


def estimate_with_lmplz(
    sentences: Iterable[str],
    order: int,
    file: Path,
    min_counts: Sequence[int] = (),
    scratch: Optional[Path] = None,
) -> List[str]:
    """Write the model that lmplz --discount_fallback estimates to the ARPA file `file`.

    `min_counts` and `scratch` are as in the built-in estimator. Returns lmplz's messages about fallback
    discounts. Raises UserError if lmplz is missing or fails, and for the texts that the built-in estimator
    refuses.
    """
    program = require_lmplz()
    with whole_file(file) as temporary, tempfile.TemporaryDirectory(dir=scratch) as folder:
        text = Path(folder) / "text"
        with open(text, "w", encoding="utf-8", newline="\n") as stream:
            stream.writelines(" ".join(words) + "\n" for words in split_sentences(sentences))
        options = ["--discount_fallback", "--memory", _SORTING_MEMORY, "--temp_prefix", f"{folder}/sort"]
        if min_counts:
            options += ["--prune", *(str(least - 1) for least in min_counts)]
        options += ["--text", str(text), "--arpa", str(temporary)]
        todo = "--set lm.estimator=builtin, or: make lmplz"
        messages = _run([program, "--order", str(order), *options], todo)
        counts = ngram_counts(temporary)
        if 0 in counts:
            row = counts.index(0)
            raise no_ngrams(row + 1, min_counts[row] if min_counts else 1)
    return [line for line in messages if "fallback" in line]


def _run(command: List[str], todo: str) -> List[str]:
    """Run one of kenlm's programs and return its messages; raises UserError if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    messages = [line for line in done.stderr.splitlines() if line.strip()]
    if done.returncode != 0:
        found = f"{Path(command[0]).name} exited with status {done.returncode}: {' / '.join(messages[-3:])}"
        raise UserError(found, "a language model", command[0], todo)
    return messages
