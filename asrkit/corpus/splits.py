"""Train, dev and test of a recipe: joined of the corpus's own sets, or cut out of training by speaker."""

import collections
import dataclasses
from typing import Dict, List, Sequence, Tuple

from asrkit.config.recipe import CorpusConfig
from asrkit.corpus.utterance import Utterance
from asrkit.errors import UserError
from asrkit.storage.fingerprint import hash_value

SHARE = 0.1  # of the training utterances, for each split that is held out
LARGEST = 0.2  # a speaker with a larger share of them stays in training
SMALLEST = 0.05  # where the speakers small enough have less than this, single utterances are drawn


def sets_of(config: CorpusConfig) -> Dict[str, Tuple[str, ...]]:
    """The corpus's own sets that each split is joined of; none for a dev of training speakers alone."""
    names = dict.fromkeys([config.train, config.dev, *config.tests])
    own_dev = config.dev_sets or (() if config.dev_speakers else (config.dev,))
    joined = {config.train: config.train_sets or (config.train,), config.dev: own_dev}
    return {name: joined.get(name, (name,)) for name in names}


def split_of(own_set: str, speaker: str, config: CorpusConfig) -> str:
    """The split that an utterance belongs to; empty: the recipe doesn't use its set."""
    split = next((name for name, sets in sets_of(config).items() if own_set in sets), "")
    return config.dev if split == config.train and speaker in config.dev_speakers else split


def refuse_absent_sets(utterances: Sequence[Utterance], config: CorpusConfig, where: str) -> None:
    """Raise UserError when a set is absent, unless corpus.partial allows it, or a split stays empty."""
    sets = sets_of(config)
    found = collections.Counter(utterance.split for utterance in utterances)
    has = f"; the corpus has {dict(sorted(found.items())) or 'none at all'}"
    for own_set, times in collections.Counter(own for of in sets.values() for own in of).items():
        if times > 1:
            raise UserError(
                f"{own_set} is in {times} splits",
                expected="each set in one",
                where="corpus.train_sets, corpus.dev_sets, corpus.tests",
                todo="leave it out of the others",
            )
    heard = {utterance.speaker for utterance in utterances if utterance.split in sets[config.train]}
    unheard = [speaker for speaker in config.dev_speakers if speaker not in heard]
    if unheard:
        raise UserError(
            f"{config.train} has no speaker {', '.join(unheard)}",
            expected=f"some of {', '.join(sorted(heard)[:20])}",
            where="corpus.dev_speakers",
        )
    filled = {split_of(each.split, each.speaker, config) for each in utterances}
    empty = [name for name in sets if name not in filled]
    absent = [own for of in sets.values() for own in of if not found[own]]
    if empty == [config.dev]:
        raise UserError(
            f"no utterances of {', '.join(sets[config.dev])}{has}",
            expected=f"a set for {config.dev}, to choose settings on",
            where=where,
            todo="fetch it (stage download), or name speakers: --set 'corpus.dev_speakers=[ID, ...]'",
        )
    if empty or (absent and not config.partial):
        raise UserError(
            f"no utterances of {', '.join(absent or empty)}{has}",
            expected=f"sets {', '.join(own for of in sets.values() for own in of)} "
            "(corpus.train_sets, corpus.dev_sets, corpus.tests)",
            where=where,
            todo="fetch the rest (stage download), or correct the names or --corpus-dir; "
            + ("--set 'corpus.tests=[SET, ...]' names what is there" if empty else "--partial does without"),
        )


def hold_out(utterances: Sequence[Utterance], config: CorpusConfig) -> List[Utterance]:
    """Give about a tenth of the training utterances to each split of corpus.held_out, speaker by speaker.

    The order of speakers is that of a hash of their names, so it depends neither on the order of
    utterances nor on names that resemble each other. Where too few speakers are small enough,
    utterances are drawn instead, by a hash of their ids, and that is printed.
    """
    held_out, train = config.held_out, config.train
    of_train = [utterance for utterance in utterances if utterance.split in sets_of(config)[train]]
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
        own_set = utterance.split
        split = chosen.get(key, own_set) if own_set in sets_of(config)[train] else own_set
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
