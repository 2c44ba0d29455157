"""Cut dev and test out of training where a corpus has none: by speaker, always the same."""

import collections
import dataclasses
from typing import Dict, List, Sequence

from asrkit.corpus.utterance import Utterance
from asrkit.storage.fingerprint import hash_value

SHARE = 0.1  # of the training utterances, for each split that is held out
LARGEST = 0.2  # a speaker with a larger share of them stays in training
SMALLEST = 0.05  # where the speakers small enough have less than this, single utterances are drawn


def hold_out(utterances: Sequence[Utterance], train: str, held_out: Sequence[str]) -> List[Utterance]:
    """Give about a tenth of the utterances of `train` to each split of `held_out`, speaker by speaker.

    The order of speakers is that of a hash of their names, so it depends neither on the order of
    utterances nor on names that resemble each other. Where too few speakers are small enough,
    utterances are drawn instead, by a hash of their ids, and that is printed.
    """
    of_train = [utterance for utterance in utterances if utterance.split == train]
    groups = collections.Counter(utterance.speaker for utterance in of_train)
    chosen = _choose(groups, held_out)
    by_speaker = all(
        sum(groups[speaker] for speaker in groups if chosen.get(speaker) == split) >= SMALLEST * len(of_train)
        for split in held_out
    )
    if not by_speaker:
        chosen = _choose(collections.Counter(utterance.id for utterance in of_train), held_out)
    result = []
    for utterance in utterances:
        key = utterance.speaker if by_speaker else utterance.id
        split = chosen.get(key, train) if utterance.split == train else utterance.split
        result.append(dataclasses.replace(utterance, split=split))
    for split in held_out:
        moved = [one for one, other in zip(result, utterances) if one.split == split != other.split]
        about = f"{len({one.speaker for one in moved})} speakers, who are in no other split"
        if not by_speaker:
            about = "drawn one by one, since there are too few speakers: theirs are voices of training"
        print(f"{split}: {len(moved)} of {len(of_train)} utterances of {train} held out, {about}")
    return result


def _choose(sizes: Dict[str, int], held_out: Sequence[str]) -> Dict[str, str]:
    """Split by group, for the groups that are taken out of training."""
    total = sum(sizes.values())
    order = sorted((name for name in sizes if sizes[name] <= LARGEST * total), key=hash_value)
    chosen: Dict[str, str] = {}
    for split in held_out:
        count = 0
        while order and count < SHARE * total:
            name = order.pop(0)
            chosen[name] = split
            count += sizes[name]
    return chosen
