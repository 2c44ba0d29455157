"""Train, dev and test of a recipe, made of the sets that its corpus has."""

import collections
from typing import Dict, Sequence, Tuple

from asrkit.config.recipe import CorpusConfig
from asrkit.corpus.utterance import Utterance
from asrkit.errors import UserError


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


def refuse_absent(utterances: Sequence[Utterance], config: CorpusConfig, where: str) -> None:
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
            todo="fetch it (stage 0), or name training speakers: --set 'corpus.dev_speakers=[SPEAKER, ...]'",
        )
    if empty or (absent and not config.partial):
        raise UserError(
            f"no utterances of {', '.join(absent or empty)}{has}",
            expected=f"sets {', '.join(own for of in sets.values() for own in of)} "
            "(corpus.train_sets, corpus.dev_sets, corpus.tests)",
            where=where,
            todo="fetch the rest (stage 0), or correct the names or --corpus-dir; "
            + ("--set 'corpus.tests=[SET, ...]' names what is there" if empty else "--partial does without"),
        )
