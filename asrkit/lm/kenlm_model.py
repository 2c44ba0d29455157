"""kenlm's models: read from an ARPA file, or mapped from the binary form that asrkit made of it."""

import mmap
from pathlib import Path
from typing import Any, Optional

from asrkit.errors import UserError
from asrkit.storage.fingerprint import hash_bytes, hash_file

BINARY = ".binary"  # ends the name of an ARPA model's binary form
_MAGIC = b"mmap lm "  # begins such a file, whatever its name: kenlm maps it unchecked
_SEAL_BYTES = len(hash_bytes(b"")) + 1


def load_kenlm(arpa: Path, given: Optional[Path] = None) -> Any:
    """kenlm's model; raises UserError without kenlm, or for a file that isn't a model of order 2 or more.

    Its binary form is taken where it is beside the ARPA file and was made of it. `given`: the file that a
    user must correct where kenlm can't read this one.
    """
    try:
        import kenlm
    except ImportError:
        raise UserError(
            "kenlm isn't installed",
            expected="its Python module, to score text",
            where="import kenlm",
            todo="make setup, or: pip install kenlm (a C++ compiler and cmake are needed)",
        ) from None
    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    try:
        with open(arpa, "rb") as stream:
            if stream.read(len(_MAGIC)) == _MAGIC:
                raise OSError("it is a binary form, not an ARPA file")
        return kenlm.Model(str(_binary_of(arpa) or arpa), config)
    except (OSError, RuntimeError, ValueError) as error:  # ValueError: its own message is not UTF-8
        raise UserError(
            f"kenlm can't read {given or arpa}: {error}",
            expected="a model of order 2 or more",
            where=str(given or arpa),
            todo="correct that file" if given else "run.sh --stage lm makes it again",
        ) from None


def seal_binary(binary: Path, arpa: Path) -> None:
    """Append a checksum of a binary form and the ARPA file that it was made of, where kenlm doesn't look."""
    seal = _seal(binary, binary.stat().st_size, arpa)
    with open(binary, "ab") as stream:
        stream.write(seal)


def _seal(binary: Path, size: int, arpa: Path) -> bytes:
    """The seal that belongs behind the first `size` bytes of a file."""
    with open(binary, "rb") as stream, mmap.mmap(stream.fileno(), size, prot=mmap.PROT_READ) as content:
        hashed = hash_bytes(content)  # type: ignore[arg-type]  # of its pages, one after the other
        return f"{hash_bytes(f'{hashed} {hash_file(arpa)}'.encode())}\n".encode()


def _binary_of(arpa: Path) -> Optional[Path]:
    """The binary form that was made of the ARPA file, if there is one, unchanged."""
    binary = arpa.with_suffix(BINARY)
    if not binary.is_file():
        return None
    size = binary.stat().st_size - _SEAL_BYTES
    if size > 0:
        with open(binary, "rb") as stream:
            stream.seek(size)
            if stream.read() == _seal(binary, size, arpa):
                return binary
    print(f"lm: {binary} is damaged, or wasn't made of {arpa.name}, which is read instead", flush=True)
    return None
