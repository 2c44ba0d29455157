"""Choose the language-model scale by word errors on dev."""

from typing import Any, Dict, List, Mapping, Sequence, Tuple

import kaldialign


def choose_scale(
    references: Mapping[str, Sequence[str]], shards: Sequence[Mapping[str, Any]], scales: Sequence[float]
) -> Tuple[float, Dict[str, int]]:
    """The scale with the fewest word errors; of equal ones the middle, which is the least on an edge.

    `shards` hold "transcripts" rows {"id", "words": {scale: [word]}}. Returns the scale and the
    errors of each.
    """
    errors = {
        scale: sum(
            kaldialign.edit_distance(references[row["id"]], row["words"][str(scale)])["total"]
            for shard in shards
            for row in shard["transcripts"]
        )
        for scale in scales
    }
    fewest = min(errors.values())
    best: List[float] = sorted(scale for scale, count in errors.items() if count == fewest)
    return best[len(best) // 2], {str(scale): count for scale, count in errors.items()}
