"""Train, dev and test splits of a recipe: made up of the corpus's subsets, or carved out of train."""

import collections
import dataclasses
import math
from typing import Dict, List, Sequence, Set, Tuple

from asrkit.config.recipe import CorpusConfig
from asrkit.corpus.utterance import Utterance
from asrkit.errors import UserError
from asrkit.storage.fingerprint import hash_value

SHARE = 0.1  # of the training utterances, for each held-out split
LARGEST = 0.2  # a speaker with more of them stays in train
SMALLEST = 0.05  # if speakers give a held-out split less than this, utterances are drawn instead


def sets_of(config: CorpusConfig) -> Dict[str, Tuple[str, ...]]:
    """Split -> the corpus's subsets that make it up; none for a dev split of speakers of train."""
    names = dict.fromkeys([config.train, config.dev, *config.tests])
    own_dev = config.dev_sets or (() if config.dev_speakers else (config.dev,))
    joined = {config.train: config.train_sets or (config.train,), config.dev: own_dev}
    return {name: joined.get(name, (name,)) for name in names}


class SplitOf:
    """Maps an utterance's subset and speaker to its split; "" if the recipe doesn't use the subset."""

    def __init__(self, config: CorpusConfig) -> None:
        self.config = config
        self.dev_speakers = frozenset(config.dev_speakers)
        self.splits: Dict[str, str] = {}  # subset of the corpus -> split of the recipe
        for name, sets in sets_of(config).items():
            for own_set in sets:
                self.splits.setdefault(own_set, name)

    def __call__(self, own_set: str, speaker: str) -> str:
        """Return the split."""
        split = self.splits.get(own_set, "")
        return self.config.dev if split == self.config.train and speaker in self.dev_speakers else split


def refuse_absent_sets(utterances: Sequence[Utterance], config: CorpusConfig, where: str) -> None:
    """Raise UserError if a subset is missing (allowed by corpus.partial), or a split is empty."""
    sets = sets_of(config)
    own_sets = [own for of in sets.values() for own in of]
    found = collections.Counter(utterance.split for utterance in utterances)
    for own_set, times in collections.Counter(own_sets).items():
        if times > 1:
            settings = "corpus.train_sets, corpus.dev_sets, corpus.tests"
            raise UserError(
                f"{own_set} is in {times} splits", "each subset in one", settings, "remove the others"
            )
    speakers = {utterance.speaker for utterance in utterances if utterance.split in sets[config.train]}
    unknown = [speaker for speaker in config.dev_speakers if speaker not in speakers]
    if unknown:
        known = f"some of {', '.join(sorted(speakers)[:20])}"
        raise UserError(f"{config.train} has no speaker {', '.join(unknown)}", known, "corpus.dev_speakers")
    split_of = SplitOf(config)
    filled = {split_of(each.split, each.speaker) for each in utterances}
    empty = [name for name in sets if name not in filled]
    absent = [own for own in own_sets if not found[own]]
    has = f"; the corpus has {dict(sorted(found.items())) or 'none at all'}"
    if empty == [config.dev]:
        raise UserError(
            f"no utterances of {', '.join(sets[config.dev])}{has}",
            f"a dev set {config.dev}, to tune settings on",
            where,
            "fetch it (stage download), or choose speakers of train: --set 'corpus.dev_speakers=[ID, ...]'",
        )
    if empty or (absent and not config.partial):
        subset = (
            "--set 'corpus.tests=[SET, ...]' selects existing sets" if empty else "--partial does without"
        )
        raise UserError(
            f"no utterances of {', '.join(absent or empty)}{has}",
            f"sets {', '.join(own_sets)} (corpus.train_sets, corpus.dev_sets, corpus.tests)",
            where,
            f"fetch the rest (stage download), or correct the names or --corpus-dir; {subset}",
        )


def hold_out(utterances: Sequence[Utterance], config: CorpusConfig) -> List[Utterance]:
    """Carve each split of corpus.held_out out of train: about 10 %, speaker-disjoint.

    Speakers are taken in the order of a hash of their names, which is independent of the order of
    utterances. If the speakers that are small enough don't suffice, single utterances are drawn by a hash of
    their ids, and a line reports it. Raises UserError if the corpus already has a split of that name, or too
    few utterances.
    """
    held_out, train, split_of = config.held_out, config.train, SplitOf(config)
    _refuse_present(utterances, config)
    of_train = [each for each in utterances if split_of(each.split, each.speaker) == train]
    if not of_train:  # refuse_absent_sets reports this
        return list(utterances)
    groups = collections.Counter(utterance.speaker for utterance in of_train)
    chosen = _choose(groups, held_out)
    by_speaker = all(
        sum(groups[speaker] for speaker in groups if chosen.get(speaker) == split) >= SMALLEST * len(of_train)
        for split in held_out
    )
    if not by_speaker:
        chosen = _choose(collections.Counter(utterance.id for utterance in of_train), held_out)
        _refuse_too_few(len(of_train), set(chosen.values()), config)
    result, moved = [], collections.defaultdict(list)
    for utterance in utterances:
        if split_of(utterance.split, utterance.speaker) == train:
            split = chosen.get(utterance.speaker if by_speaker else utterance.id, utterance.split)
            if split != utterance.split:
                moved[split].append(utterance)
            utterance = dataclasses.replace(utterance, split=split)
        result.append(utterance)
    for split in held_out:
        about = f"{len({one.speaker for one in moved[split]})} speakers, who are in no other split"
        if not by_speaker:
            about = "drawn one by one, because there are too few speakers: train has the same speakers"
        print(f"{split}: {len(moved[split])} of {len(of_train)} utterances of {train} held out, {about}")
    return result


def _refuse_present(utterances: Sequence[Utterance], config: CorpusConfig) -> None:
    """Raise UserError if the corpus has a split with the name of a held-out one: they would be merged."""
    present = collections.Counter(one.split for one in utterances if one.split in config.held_out)
    for split, count in sorted(present.items()):
        others = ",".join(name for name in config.held_out if name != split)
        setting = "corpus.tests" if split in config.tests else "corpus.dev"
        use = f"use the corpus's: --set 'corpus.held_out=[{others}]'"
        raise UserError(
            f"corpus.held_out has {split}, and the corpus has a set {split} of {count} utterances",
            "names that the corpus doesn't use, for the splits to hold out of train",
            "corpus.held_out",
            f"{use}; or give the held-out split another name, also in {setting}",
        )


def _refuse_too_few(count: int, chosen: Set[str], config: CorpusConfig) -> None:
    """Raise UserError if a split to hold out would be empty."""
    empty = [split for split in config.held_out if split not in chosen]
    if empty:
        least = math.ceil(1 / LARGEST)
        sets = f"{config.train}, {' and '.join(config.held_out)}"
        raise UserError(
            f"{config.train} has {count} utterances, too few to hold out {' and '.join(empty)}",
            f"{least} or more, or a corpus with these sets",
            "corpus.held_out",
            f"add utterances, or mark the sets {sets} in the corpus (the column split of a table)",
        )


def _choose(sizes: Dict[str, int], held_out: Sequence[str]) -> Dict[str, str]:
    """Group (speaker or utterance) -> held-out split; groups that stay in train are missing."""
    total = sum(sizes.values())
    small = (name for name in sizes if sizes[name] <= LARGEST * total)
    order = collections.deque(sorted(small, key=hash_value))
    chosen: Dict[str, str] = {}
    for split in held_out:
        count = 0
        while order and count < SHARE * total:
            name = order.popleft()
            chosen[name] = split
            count += sizes[name]
    return chosen
