"""A fast fingerprint of the names and stats of all files below a folder, to see that none has changed.

    top/a: 1.wav, 2.wav       -> hash of "top/a", [], ["1.wav", size, times, inode], ["2.wav", ...] --+
    top/b: 3.wav, l -> /data  -> hash of "top/b", ["l", "/data"], ["3.wav", ...] --------------------+--> hash
    /data: 4.wav              -> hash of "/data", [], ["4.wav", ...] --------------------------------+

Of 300,000 files the stats alone take half a second and Python as long again, so processes share the folders,
and no list of the files is kept.
"""

import hashlib
import os
import stat
from pathlib import Path
from typing import FrozenSet, List, NamedTuple, Sequence, Tuple

import msgspec

from asrkit.errors import UserError
from asrkit.pipeline.parallel import run_parallel

FOLDERS_TO_SHARE = 256  # fewer don't repay starting processes
MARKS = {"recipe.yaml", "stages"}  # of an experiment, whose files don't count


class _Part(NamedTuple):
    """What was found in some folders."""

    digests: List[bytes]  # of each
    links: List[str]  # folders that links lead to


def tree_key(top: Path, left_out: Sequence[Path], jobs: int) -> str:
    """Fingerprint of the stats of all files that `walk` of asrkit.pipeline.inputs finds, and maybe of more.

    It differs if any of them was added, removed, renamed or written. Files in folders that several links lead
    to may count several times, which `walk` avoids.
    """
    here = os.path.realpath(top)
    excluded = frozenset(os.path.realpath(folder) for folder in left_out) - {here}
    known = {here, *map(str, Path(here).parents)}  # links to a parent aren't followed
    digests: List[bytes] = []
    folders = [here]
    while folders:
        if len(folders) < FOLDERS_TO_SHARE:
            digest, below, links = _read_folder(folders.pop(0), excluded)
            digests.append(digest)
            folders += below
        else:
            shares = [folders[first::jobs] for first in range(jobs)]
            folders, links = [], []

            def done(_: int, part: _Part, links: List[str] = links) -> None:
                digests.extend(part.digests)
                links.extend(part.links)

            run_parallel(lambda share: _read_tree(share, excluded), shares, jobs, done)
        new = sorted({*links} - known - excluded)
        known.update(new)
        folders += new
    return hashlib.blake2b(b"".join(sorted(digests)), digest_size=16).hexdigest()


def is_readable(folder: str) -> bool:
    """False for an unreadable lost+found; raises UserError for any other folder that can't be read."""
    if os.access(folder, os.R_OK | os.X_OK):
        return True
    if os.path.basename(folder) == "lost+found":
        return False
    todo = f"chmod -R a+rX {folder}, or move it out of the corpus"
    raise UserError(f"can't read the folder {folder}", "permission to read all of it", folder, todo)


def _read_tree(folders: Sequence[str], excluded: FrozenSet[str]) -> _Part:
    digests, links, waiting = [], [], list(folders)
    while waiting:
        digest, below, found = _read_folder(waiting.pop(), excluded)
        digests.append(digest)
        waiting += below
        links += found
    return _Part(digests, links)


def _read_folder(folder: str, excluded: FrozenSet[str]) -> Tuple[bytes, List[str], List[str]]:
    """Digest of a folder's files and links, the folders in it, and those that links in it lead to."""
    files = {}
    if not is_readable(folder):
        return hashlib.blake2b(os.fsencode(folder), digest_size=16).digest(), [], []
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)  # names are faster to find from it than paths
    try:
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.name[0] != ".":
                    try:
                        files[entry.name] = entry.stat(), entry.is_symlink()
                    except OSError:  # a link that leads nowhere
                        continue
    finally:
        os.close(place)
    below: List[str] = []
    links: List[Tuple[bytes, bytes]] = []
    rows: List[Tuple[bytes, int, int, int, int]] = []
    for name in sorted(files) if not MARKS.issubset(files) else ():
        found, is_link = files[name]
        path = f"{folder}/{name}"
        if stat.S_ISREG(found.st_mode):
            times = found.st_mtime_ns, found.st_ctime_ns
            rows.append((os.fsencode(name), found.st_size, *times, found.st_ino))
        elif stat.S_ISDIR(found.st_mode) and is_link:
            links.append((os.fsencode(name), os.fsencode(os.path.realpath(path))))
        elif stat.S_ISDIR(found.st_mode) and path not in excluded:
            below.append(path)
    content = msgspec.msgpack.encode((os.fsencode(folder), links, rows))
    digest = hashlib.blake2b(content, digest_size=16).digest()
    return digest, below, [os.fsdecode(target) for _, target in links]
