"""Choose the utterances of a page from a large set: the worst, those with rare words, and random ones."""

import math
import random
import sys
from typing import Any, Callable, Dict, Iterable, List, Mapping, Sequence, Tuple


def sample(
    rows: Sequence[Dict[str, Any]], limit: int, seed: int, training_counts: Callable[[], Mapping[str, int]]
) -> List[Dict[str, Any]]:
    """All rows, or `limit` of them: a third with the most errors, one with the rarest words, one at random.

    Each row gets `why`: "worst", "rare words", "random", or "" where all are taken. A word's rarity is
    its count in the training set, which is only asked for if needed. The same seed gives the same sample.
    """
    if len(rows) <= limit:
        return [{**row, "why": ""} for row in rows]
    counts = training_counts()
    left = list(range(len(rows)))
    chosen: Dict[int, str] = {}

    def take(order: Iterable[int], why: str, number: int) -> None:
        chosen.update(dict.fromkeys(list(order)[:number], why))
        left[:] = [index for index in left if index not in chosen]

    def rarity(index: int) -> Tuple[int, str]:
        words = rows[index]["words"]
        return min((counts.get(word, 0) for word in words), default=sys.maxsize), rows[index]["id"]

    def errors(index: int) -> Tuple[int, str]:
        return -max(system["errors"] for system in rows[index]["systems"]), rows[index]["id"]

    third = math.ceil(limit / 3)
    take(sorted(left, key=errors), "worst", third)
    take(sorted(left, key=rarity), "rare words", min(third, limit - len(chosen)))
    take(random.Random(seed).sample(left, len(left)), "random", limit - len(chosen))
    return [{**row, "why": chosen[index]} for index, row in enumerate(rows) if index in chosen]
