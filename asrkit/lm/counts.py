"""Adjusted counts of n-grams, as Kneser-Ney smoothing needs them."""

import contextlib
import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import Iterable, Iterator, List, Tuple

import numpy as np

from asrkit.errors import UserError
from asrkit.lm.pairs import pair_keys
from asrkit.lm.tokens import END_ID, START_ID, Tokens

_RUN = np.dtype([("key", np.int64), ("context", np.int32), ("occurrences", np.int32)])
_Block = Tuple[np.ndarray, np.ndarray, np.ndarray]  # (n-grams,) each: keys, contexts, occurrences


@dataclasses.dataclass(frozen=True)
class NgramCounts:
    """The n-grams of one order, sorted by last word, then the one before it, and so on.

    An n-gram is held by its first word and two indices into the next lower order, so that
    memory and sorting don't depend on the order: all arrays are (n-grams,) int32, most in files.
    """

    first: np.ndarray  # id of the first word
    last: np.ndarray  # id of the last word
    suffix: np.ndarray  # index one order below of the n-gram without its first word
    context: np.ndarray  # index one order below of the n-gram without its last word
    occurrences: np.ndarray
    adjusted: np.ndarray  # adjusted count


def count_ngrams(tokens: Tokens, order: int, scratch: Path) -> List[NgramCounts]:
    """Adjusted counts of orders 1 to `order` (Chen & Goodman 1998; Heafield et al. 2013, section 3).

    The adjusted count of the highest order, and of n-grams that begin with <s>, is the number
    of occurrences; of others, the number of different words seen before them. <unk> and <s>
    count 0. Raises UserError when no sentence is long enough for the order.

    The n-grams of each part of the text are sorted into a file, and the files are merged: the tables are
    in files of the folder `scratch`, and in memory only the adjusted counts grow with the text.
    """
    size = len(tokens.vocabulary)
    words = np.arange(size, dtype=np.int32)
    occurrences = sum(np.bincount(tokens.ids[part], minlength=size) for part in tokens.parts)
    occurrences = np.asarray(occurrences, dtype=np.int32)
    below = NgramCounts(words, words, words, words, occurrences, occurrences)  # the links mean nothing
    tables: List[NgramCounts] = []
    shutil.copyfile(scratch / "tokens", scratch / "index")
    index = np.memmap(scratch / "index", np.int32, "r+")  # the n-gram that ends at each token; -1: none
    for length in range(2, order + 1):
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            runs: List[np.ndarray] = []
            for part in tokens.parts[::-1]:  # backwards, for contexts end a token earlier
                run = _count_part(tokens, part, length, index, below)
                if len(run):
                    run.tofile(file := Path(folder) / str(part.start))
                    run = np.memmap(file, _RUN, "r")
                runs.append(run)
            if not any(map(len, runs)):
                raise too_short(length)
            keys, above = _write_table(_merged(runs, tokens.at_once), below, scratch / str(length), size)
            if length < order:
                for part, run in zip(tokens.parts[::-1], runs):
                    rows = np.append(np.searchsorted(keys, run["key"]), -1)
                    index[part] = rows[index[part]]
        extensions = np.bincount(above.suffix, minlength=len(below.first))
        tables.append(_adjust(below, extensions))
        below = above
    return [*tables, below]


def too_short(order: int) -> UserError:
    """The refusal of a text that has no n-gram of this order."""
    return UserError(
        f"no sentence is long enough for {order}-grams",
        expected=f"a sentence of {order - 2} words or more",
        where="lm.order in recipe.yaml",
        todo=f"--set lm.order={order - 1}",
    )


def too_rare(order: int, min_count: int) -> UserError:
    """The refusal of a text in which no n-gram of this order occurs so often."""
    return UserError(
        f"no {order}-grams occur {min_count} times",
        expected="some that do",
        where="lm.min_counts in recipe.yaml",
        todo=f"lower lm.min_counts, or --set lm.order={order - 1}",
    )


def _count_part(
    tokens: Tokens, part: slice, length: int, index: np.ndarray, below: NgramCounts
) -> np.ndarray:
    """The distinct n-grams that end in a part of the text, sorted: (n-grams,) of _RUN.

    A key is (index of the suffix) * vocabulary + first word. At most one <s> begins an n-gram. `index`
    gets the row here instead of the index of the suffix.
    """
    suffix = index[part].copy()
    extended = np.flatnonzero((suffix >= 0) & (below.first[suffix] != START_ID))
    ends = part.start + extended
    first = tokens.ids[ends - (length - 1)]  # of index -1, too, </s>: the last token of the text
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


def _merged(runs: List[np.ndarray], at_once: int) -> Iterator[_Block]:
    """The distinct n-grams of all runs, sorted, in blocks of about `at_once` or less."""
    while runs := [run for run in runs if len(run)]:
        heads = [run[: at_once // len(runs) + 1]["key"] for run in runs]
        last = min(keys[-1] for keys in heads)  # up to here, no run has more than its head
        ends = [int(np.searchsorted(keys, last, side="right")) for keys in heads]
        block = np.concatenate([run[:end] for run, end in zip(runs, ends)])
        runs = [run[end:] for run, end in zip(runs, ends)]
        block = block[np.argsort(block["key"], kind="stable")]
        starts = np.flatnonzero(np.diff(block["key"], prepend=-1))
        distinct = block[starts]
        yield distinct["key"], distinct["context"], np.add.reduceat(block["occurrences"], starts)


def _write_table(
    blocks: Iterable[_Block], below: NgramCounts, folder: Path, vocabulary: int
) -> Tuple[np.ndarray, NgramCounts]:
    """The keys, and the n-grams before their counts are adjusted, as files."""
    folder.mkdir()
    names = ["keys", "first", "last", "suffix", "context", "occurrences"]
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(open(folder / name, "wb")) for name in names]
        for keys, context, occurrences in blocks:
            suffix, first = np.divmod(keys, vocabulary)
            keys.tofile(streams[0])
            for stream, column in zip(streams[1:], (first, below.last[suffix], suffix, context, occurrences)):
                column.astype(np.int32).tofile(stream)
    first, last, suffix, context, occurrences = (
        np.memmap(folder / name, np.int32, "r") for name in names[1:]
    )
    return np.memmap(folder / "keys", np.int64, "r"), NgramCounts(
        first, last, suffix, context, occurrences, occurrences
    )


def _adjust(table: NgramCounts, extensions: np.ndarray) -> NgramCounts:
    # Nothing stands before <s>, so an n-gram that begins with it keeps its occurrences.
    # The unigram <s> has neither: 0.
    adjusted = np.where(table.first == START_ID, table.occurrences, extensions)
    return dataclasses.replace(table, adjusted=adjusted.astype(np.int32))


def counts_of_counts(tables: List[NgramCounts], appearance: np.ndarray) -> np.ndarray:
    """How many n-grams of each order have an adjusted count of 0, 1, 2, 3 and 4: (orders, 5).

    As lmplz counts them. Of the last n-gram of each lower order, in the order in which lmplz
    goes through them, it takes the occurrences instead of the adjusted count (kenlm 0.3.0,
    end of AdjustCounts::Run). That moved log10 probabilities by up to 2e-4 on 114,000 words.
    `appearance` is that of Tokens.
    """
    numbers = np.stack([np.bincount(np.minimum(table.adjusted, 5), minlength=6)[:5] for table in tables])
    row = int(np.argmax(appearance))
    for order, table in enumerate(tables[:-1]):
        if order > 0:
            start, end = np.searchsorted(table.suffix, [row, row + 1])
            row = int(start + np.argmax(appearance[table.first[start:end]]))
            if table.first[row] == START_ID:
                break  # counts of n-grams that begin with <s> are occurrences anyhow
        for count, change in ((table.adjusted[row], -1), (table.occurrences[row], 1)):
            if count < 5:
                numbers[order, count] += change
    return numbers
