"""Audio that no file holds yet: what a command puts out, or a mixture of recordings."""

import concurrent.futures
import dataclasses
import subprocess
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from asrkit.config import CorpusConfig
from asrkit.corpus.audio import AudioProblem
from asrkit.corpus.rejection import Rejection
from asrkit.corpus.utterance import Utterance
from asrkit.corpus.validation import reject
from asrkit.storage.files import whole_file

Derive = Callable[[Path], None]


def derive_audio(
    utterances: Sequence[Utterance], config: CorpusConfig, folder: Path, jobs: int
) -> Tuple[List[Utterance], List[Rejection]]:
    """Write what `Utterance.derive` gives below `folder`, once for all utterances of a recording."""
    derivations: Dict[Derive, Path] = {}
    for utterance in utterances:
        if utterance.derive is not None:
            derivations.setdefault(utterance.derive, folder / f"{len(derivations):06d}.wav")
    with concurrent.futures.ThreadPoolExecutor(max(1, jobs)) as pool:
        problems = dict(zip(derivations, pool.map(_derive, derivations, derivations.values())))
    derived: List[Utterance] = []
    rejections: List[Rejection] = []
    for utterance in utterances:
        problem = problems.get(utterance.derive) if utterance.derive is not None else None
        if problem is not None:
            rejections.append(reject(utterance, problem, config))
        elif utterance.derive is not None:
            derived.append(dataclasses.replace(utterance, audio=derivations[utterance.derive], derive=None))
        else:
            derived.append(utterance)
    return derived, rejections


def run_command(command: str, file: Path) -> None:
    """Have a shell command write audio to its standard output, and keep it; raises AudioProblem."""
    with whole_file(file) as temporary, open(temporary, "wb") as stream:
        done = subprocess.run(
            ["sh", "-c", command], stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.PIPE
        )
        if done.returncode:
            said = " ".join(done.stderr.decode(errors="replace").split())[:200]
            raise AudioProblem("command failed", f"{command}: exit status {done.returncode}; {said}")


def _derive(derive: Derive, file: Path) -> Optional[AudioProblem]:
    try:
        derive(file)
        return None
    except AudioProblem as problem:
        return problem
