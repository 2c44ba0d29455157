"""Adjusted counts of n-grams, as Kneser-Ney smoothing needs them.

For the sentences "a b" and "c b" and order 2, the n-grams and their adjusted counts are

    order 2, occurrences:               <s> a 1    <s> c 1    a b 1    c b 1    b </s> 2
    order 1, different words before:    <s> 0      a 1        b 2      c 1      </s> 1    <unk> 0

An n-gram refers to the order below: "a b" is stored as first word a, suffix b and context a. It is sorted and
merged by one number, (row of the suffix) * (size of the vocabulary) + (first word), for n-grams of any order.
"""

import contextlib
import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import Iterable, Iterator, List, Tuple

import numpy as np

from asrkit.errors import UserError
from asrkit.lm.model import pair_keys
from asrkit.lm.tokens import END_ID, START_ID, Tokens

_RUN = np.dtype([("key", np.int64), ("context", np.int32), ("occurrences", np.int32)])


@dataclasses.dataclass(frozen=True)
class NgramCounts:
    """The n-grams of one order, sorted by last word, then the one before it, and so on.

    All arrays are (n-grams,) int32, most of them in files: memory and sorting don't depend on the order.
    """

    first: np.ndarray  # id of the first word
    last: np.ndarray  # id of the last word
    suffix: np.ndarray  # row, one order below, of the n-gram without its first word
    context: np.ndarray  # row, one order below, of the n-gram without its last word
    occurrences: np.ndarray
    adjusted: np.ndarray  # adjusted count


def count_ngrams(tokens: Tokens, order: int, scratch: Path) -> List[NgramCounts]:
    """Adjusted counts of orders 1 to `order` (Chen & Goodman 1998; Heafield et al. 2013, section 3).

    The adjusted count is the number of different words seen before the n-gram, or the number of
    occurrences in the highest order and for n-grams that begin with <s>. <unk> and <s> count 0.
    Raises UserError if no sentence is long enough for the order.

    An external sort: the n-grams of each part of the text are sorted into a file, and the files are merged.
    Tables are files in the folder `scratch`; only adjusted counts are held in memory.
    """
    size = len(tokens.vocabulary)
    words = np.arange(size, dtype=np.int32)
    occurrences = sum(np.bincount(tokens.ids[part], minlength=size) for part in tokens.parts)
    occurrences = np.asarray(occurrences, dtype=np.int32)
    below = NgramCounts(words, words, words, words, occurrences, occurrences)  # unigrams refer to nothing
    tables: List[NgramCounts] = []
    shutil.copyfile(scratch / "tokens", scratch / "index")
    index = np.memmap(scratch / "index", np.int32, "r+")  # the n-gram that ends at each token, or -1
    for length in range(2, order + 1):
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            runs: List[np.ndarray] = []
            for part in tokens.parts[::-1]:  # backwards, because contexts end one token earlier
                run = _count_part(tokens, part, length, index, below)
                if len(run):
                    run.tofile(file := Path(folder) / str(part.start))
                    run = np.memmap(file, _RUN, "r")
                runs.append(run)
            if not any(map(len, runs)):
                raise no_ngrams(length)
            keys, above = _write_table(_merge(runs, tokens.at_once), below, scratch / str(length), size)
            if length < order:
                for part, run in zip(tokens.parts[::-1], runs):
                    rows = np.append(np.searchsorted(keys, run["key"]), -1)
                    index[part] = rows[index[part]]
        extensions = np.bincount(above.suffix, minlength=len(below.first))
        # Nothing precedes <s>: n-grams that begin with it keep their occurrences. The unigram has none.
        adjusted = np.where(below.first == START_ID, below.occurrences, extensions).astype(np.int32)
        tables.append(dataclasses.replace(below, adjusted=adjusted))
        below = above
    return [*tables, below]


def no_ngrams(order: int, min_count: int = 1) -> UserError:
    """The error for a text without n-grams of this order, or without any that occur `min_count` times."""
    todo = f"--set lm.order={order - 1}"
    if min_count > 1:
        found = f"no {order}-grams occur {min_count} times"
        return UserError(found, "some that do", "lm.min_counts", f"lower lm.min_counts, or {todo}")
    found = f"no sentence is long enough for {order}-grams"
    return UserError(found, f"{order - 2} words or more", "lm.order", todo)


def _count_part(
    tokens: Tokens, part: slice, length: int, index: np.ndarray, below: NgramCounts
) -> np.ndarray:
    """The distinct n-grams that end in a part of the text, sorted by key: (n-grams,) of _RUN.

    At most one <s> begins an n-gram. In `index`, rows of this result replace rows of suffixes.
    """
    suffix = index[part].copy()
    extended = np.flatnonzero((suffix >= 0) & (below.first[suffix] != START_ID))
    ends = part.start + extended
    first = tokens.ids[ends - (length - 1)]  # index -1 is </s>, too: the last token of the text
    first = np.where(first == END_ID, START_ID, first)
    keys, rows, occurrences = np.unique(
        pair_keys(suffix[extended], first, len(tokens.vocabulary)),
        return_inverse=True,
        return_counts=True,
    )
    run = np.empty(len(keys), dtype=_RUN)
    run["key"], run["occurrences"] = keys, occurrences
    run["context"][rows] = first if length == 2 else index[ends - 1]
    index[part] = -1
    index[ends] = rows
    return run


def _merge(runs: List[np.ndarray], at_once: int) -> Iterator[np.ndarray]:
    """The distinct n-grams of all runs, sorted, in blocks of at most about `at_once`: (n-grams,) of _RUN."""
    while runs := [run for run in runs if len(run)]:
        heads = [run[: at_once // len(runs) + 1]["key"] for run in runs]
        last = min(keys[-1] for keys in heads)  # no run has more up to here than its head
        ends = [int(np.searchsorted(keys, last, side="right")) for keys in heads]
        block = np.concatenate([run[:end] for run, end in zip(runs, ends)])
        runs = [run[end:] for run, end in zip(runs, ends)]
        block = block[np.argsort(block["key"], kind="stable")]
        starts = np.flatnonzero(np.diff(block["key"], prepend=-1))
        occurrences = np.add.reduceat(block["occurrences"], starts)
        block = block[starts]
        block["occurrences"] = occurrences
        yield block


def _write_table(
    blocks: Iterable[np.ndarray], below: NgramCounts, folder: Path, vocabulary: int
) -> Tuple[np.ndarray, NgramCounts]:
    """The keys, and the n-grams before their counts are adjusted, as files."""
    folder.mkdir()
    files = [folder / name for name in ("key", "first", "last", "suffix", "context", "occurrences")]
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(open(file, "wb")) for file in files]
        for block in blocks:
            key, context, occurrences = (block[name] for name in ("key", "context", "occurrences"))
            suffix, first = np.divmod(key, vocabulary)
            key.tofile(streams[0])
            for stream, column in zip(streams[1:], (first, below.last[suffix], suffix, context, occurrences)):
                column.astype(np.int32).tofile(stream)
    first, last, suffix, context, occurrences = (np.memmap(file, np.int32, "r") for file in files[1:])
    table = NgramCounts(first, last, suffix, context, occurrences, adjusted=occurrences)
    return np.memmap(files[0], np.int64, "r"), table


def counts_of_counts(tables: List[NgramCounts], appearance: np.ndarray) -> np.ndarray:
    """How many n-grams of each order have an adjusted count of 0, 1, 2, 3 and 4: (orders, 5).

    As in lmplz: for the last n-gram of each lower order, in the order in which lmplz goes through them,
    it takes the occurrences instead of the adjusted count (kenlm 0.3.0, end of AdjustCounts::Run).
    Without that, log10 probabilities differed by up to 2e-4 on 114,000 words. `appearance`: of Tokens.
    """
    numbers = np.stack([np.bincount(np.minimum(table.adjusted, 5), minlength=6)[:5] for table in tables])
    row = int(np.argmax(appearance))
    for order, table in enumerate(tables[:-1]):
        if order > 0:
            start, end = np.searchsorted(table.suffix, [row, row + 1])
            row = int(start + np.argmax(appearance[table.first[start:end]]))
            if table.first[row] == START_ID:
                break  # counts of n-grams that begin with <s> are occurrences anyway
        for count, change in ((table.adjusted[row], -1), (table.occurrences[row], 1)):
            if count < 5:
                numbers[order, count] += change
    return numbers
