"""kenlm's programs, where they are built: lmplz estimates, build_binary makes files that memory maps."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Iterable, List, Optional, Sequence

from asrkit.errors import UserError
from asrkit.lm.arpa import ngram_counts
from asrkit.lm.counts import too_rare, too_short
from asrkit.lm.kenlm_model import BINARY, seal_binary
from asrkit.lm.tokens import split_sentences
from asrkit.pipeline.machine import find_program
from asrkit.storage.files import whole_file

_SORTING_MEMORY = "1G"  # lmplz would take four fifths of the machine's; it sorts on disk beyond this


def find_lmplz() -> Optional[str]:
    """The program lmplz beside this Python or on PATH, or None."""
    return find_program("lmplz")


def require_lmplz() -> str:
    """The program lmplz; raises UserError if it isn't built."""
    program = find_lmplz()
    if program is None:
        raise UserError(
            "lmplz isn't built",
            expected=f"lmplz in {Path(sys.executable).parent} or on PATH",
            where="lm.estimator: lmplz",
            todo="make lmplz, or --set lm.estimator=builtin, which gives the same model",
        )
    return program


def write_binary(arpa: Path) -> Optional[Path]:
    """Write kenlm's binary form of an ARPA model beside it; none without build_binary, or for order 1.

    load_kenlm takes it: it is mapped in a moment, where a large ARPA file takes minutes to read. Raises
    UserError when build_binary fails.
    """
    program = find_program("build_binary")
    if program is None or len(ngram_counts(arpa)) == 1:
        return None
    binary = arpa.with_suffix(BINARY)
    with whole_file(binary) as temporary:
        command = [program, "-T", f"{temporary}-sort", str(arpa), str(temporary)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode != 0:
            last = " / ".join(done.stderr.strip().splitlines()[-2:])
            raise UserError(
                f"build_binary ended with status {done.returncode}: {last}",
                expected="kenlm's binary form of the model",
                where=program,
                todo="make lmplz again, or remove build_binary: the ARPA file serves too",
            )
        seal_binary(temporary, arpa)
    return binary


def estimate_with_lmplz(
    sentences: Iterable[str],
    order: int,
    file: Path,
    min_counts: Sequence[int] = (),
    scratch: Optional[Path] = None,
) -> List[str]:
    """Write the model that lmplz --discount_fallback estimates to the ARPA file `file`.

    `min_counts` and `scratch` are those of the built-in estimator. Gives lmplz's lines on discounts that
    fell back. Raises UserError when lmplz is missing or fails, and for the texts that the built-in estimator
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
        files = ["--text", str(text), "--arpa", str(temporary)]
        done = subprocess.run(
            [program, "--order", str(order), *options, *files],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )
        messages = [line for line in done.stderr.splitlines() if line.strip()]
        if done.returncode != 0:
            raise UserError(
                f"lmplz ended with status {done.returncode}: {' / '.join(messages[-3:])}",
                expected="an ARPA file",
                where=program,
                todo="--set lm.estimator=builtin, or make lmplz again",
            )
        counts = ngram_counts(temporary)
        if 0 in counts:
            row = counts.index(0)
            raise too_rare(row + 1, min_counts[row]) if min_counts else too_short(row + 1)
    return [line for line in messages if "fallback" in line]
