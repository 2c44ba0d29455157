#!/usr/bin/env python3
"""Seconds of processor to compile HLG at LibriSpeech's size, and the memory that it takes.

Text: different sentences of this machine's man pages, documentation and Python library; where they are too
few, further ones are invented by joining halves of two, with some of the words joined too. Words, BPE, a
language model and posteriors of sentences that it hasn't seen are made of them once, into --dir.
"""

import collections
import gzip
import hashlib
import re
import resource
import sysconfig
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np
import torch
from measure import make_parser, print_figure, run_measurement

from asrkit.config import GraphConfig, UnitsConfig
from asrkit.config.symbols import BLANK
from asrkit.decode.shards import write_shard
from asrkit.graph.compile import make_graph
from asrkit.graph.store import save_graph
from asrkit.lm.arpa import write_arpa
from asrkit.lm.kneser_ney import estimate
from asrkit.pipeline.parallel import run_parallel
from asrkit.storage.files import read_json, write_json
from asrkit.text.units import Units, build_units, load_units

FOLDERS = ("/usr/share/man", "/usr/share/doc", "/usr/share/common-licenses", "/usr/share/info")
SUFFIXES = {"", ".txt", ".html", ".rst", ".md", ".py", *(f".{section}" for section in range(1, 9))}
TRANSLATED = re.compile(r"/usr/share/man/(?!man\d)")
MARKUP = re.compile(r"^[.'].*$|\\f.|\\[-&]|<[^>]*>", re.MULTILINE)  # of troff, and of HTML
ENDS = re.compile(r"[.!?:;,]\s|\n\s*\n|[(){}\[\]=|#\"*/_@]")  # of sentences
WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
SHORTEST, LONGEST = 4, 40  # words of a sentence
FRAMES_PER_SECOND = 25
BLANKS_AFTER_UNIT = 2.7  # frames, the mean: about LibriSpeech's 2.7 words a second
POSTERIORS = "posteriors.safetensors"
SETTINGS = ("words", "vocabulary", "units")
HELD_OUT = 300  # sentences that posteriors are simulated of
SEED = 1


def add_options(parser: Any) -> None:
    """The options that say what is made, and where."""
    parser.add_argument("--dir", type=Path, required=True, metavar="DIR", help="keeps what is made; 1.2 GB")
    parser.add_argument("--words", type=int, default=2_900_000, help="of the language model's text")
    parser.add_argument("--vocabulary", type=int, default=86_000)
    parser.add_argument("--units", type=int, default=500, help="BPE pieces")


def prepare(options: Any) -> None:
    """Make units, language model and posteriors in --dir, unless they are there, of the same options."""
    settings = {name: value for name, value in sorted(vars(options).items()) if name in SETTINGS}
    done = options.dir / "settings.json"
    if done.exists() and read_json(done) == settings:
        return
    # One process each, so that the peak of one is not that of what comes after it.
    for step in (_make_models, _make_posteriors):
        run_parallel(lambda _, step=step: step(options), 1, 1, lambda *_: None)
    write_json(done, settings)


def _make_models(options: Any) -> None:
    kept, held_out = split_sentences(read_sentences(), options)
    vocabulary = {word for sentence in kept for word in sentence.split()}
    model = estimate(kept, 3).model
    write_arpa(model, options.dir / "lm" / "lm.arpa")
    listing = ", ".join(f"{count:,} {order}-grams" for order, count in enumerate(model.counts, start=1))
    print(f"{len(kept):,} sentences, {len(vocabulary):,} words, {listing}", flush=True)
    config = UnitsConfig(kind="bpe", vocabulary_size=options.units)
    build_units(config, kept[-200_000:], options.dir / "units", extra_words=vocabulary)
    write_json(options.dir / "held-out.json", held_out)


def split_sentences(found: List[str], options: Any) -> Tuple[List[str], List[str]]:
    """Sentences for the language model, of most frequent words alone, and others of the same words."""
    random = np.random.default_rng(SEED)
    counts = collections.Counter(word for sentence in found for word in sentence.split())
    sentences, words = list(found), sum(counts.values())
    while len(counts) < options.vocabulary or words < 1.2 * options.words:
        sentences.append(_invent(found, random))
        counts.update(sentences[-1].split())
        words += len(sentences[-1].split())
    print(f"{len(found):,} sentences of this machine, {len(sentences) - len(found):,} invented", flush=True)
    vocabulary = {word for word, _ in counts.most_common(options.vocabulary)}
    new, old = [], []
    seen = set()
    for sentence in sentences:
        here = set(sentence.split())
        if here <= vocabulary:
            (old if here <= seen else new).append(sentence)  # the new ones together have all words
            seen |= here
    ordered = new + old
    ends = np.cumsum([len(sentence.split()) for sentence in ordered])
    kept = max(len(new), int(np.searchsorted(ends, options.words)))
    return ordered[:kept], ordered[kept:][:HELD_OUT]


def _invent(sentences: List[str], random: np.random.Generator) -> str:
    """The first half of one sentence and the second of another, with two words joined to a new one."""
    one, other = (sentences[index].split() for index in random.integers(len(sentences), size=2))
    words = [*one[: len(one) // 2 + 1], *other[len(other) // 2 :]]
    place = int(random.integers(len(words) - 1))
    return " ".join([*words[:place], words[place] + words[place + 1], *words[place + 2 :]])


def read_sentences() -> List[str]:
    """Different sentences of the machine's text, lower case, in a random order that never changes."""
    found: Dict[str, None] = {}
    for text in _texts():
        for part in ENDS.split(MARKUP.sub(" ", text).lower()):
            words = WORD.findall(part)
            if SHORTEST <= len(words) <= LONGEST:
                found[" ".join(words)] = None
    return sorted(found, key=lambda sentence: hashlib.sha256(sentence.encode()).digest())


def _texts() -> Iterator[str]:
    for folder in (*FOLDERS, sysconfig.get_path("stdlib")):
        for file in sorted(Path(folder).rglob("*")):
            plain = file.with_suffix("") if file.suffix == ".gz" else file
            if plain.suffix not in SUFFIXES or TRANSLATED.match(str(file)) or "site-packages" in file.parts:
                continue
            try:
                content = file.read_bytes()
                yield (gzip.decompress(content) if file.suffix == ".gz" else content).decode("utf-8")
            except (OSError, EOFError, UnicodeDecodeError):
                continue  # a folder, a picture, an old encoding: there is enough without it


def _make_posteriors(options: Any) -> None:
    units = load_units(options.dir / "units")
    sentences = read_json(options.dir / "held-out.json")
    tensors = {}
    for index, sentence in enumerate(sentences):
        random = np.random.default_rng([SEED, index])
        tensors[f"sentence-{index:04d}"] = simulate_posteriors(units, sentence, random).half()
    seconds = sum(map(len, tensors.values())) / FRAMES_PER_SECOND
    references = dict(zip(tensors, sentences))
    write_shard(options.dir / POSTERIORS, tensors, {"references": references, "audio_seconds": seconds})


def simulate_posteriors(units: Units, sentence: str, random: np.random.Generator) -> torch.Tensor:
    """Log-probabilities (frame, unit) as CTC makes them: units in single frames, blanks between.

    A unit has three others that it is taken for, now and then more likely than itself.
    """
    ids = units.encode(sentence)
    blanks = random.geometric(1 / (1 + BLANKS_AFTER_UNIT), size=len(ids)) - 1
    blanks[:-1] = np.maximum(blanks[:-1], np.diff(ids) == 0)  # equal units need one between them
    spikes = np.cumsum(1 + blanks) - blanks + int(random.integers(2, 12))
    frames = int(spikes[-1] + blanks[-1]) + int(random.integers(2, 12))
    scores = random.normal(scale=1.2, size=(frames, len(units)))
    unsure = random.random(frames) < 0.08
    scores[:, BLANK] += np.where(unsure, random.normal(7, 2, frames), random.normal(17, 2, frames))
    for around in (-1, 1):
        scores[spikes + around, ids] += random.normal(4, 2, len(ids))
    scores[spikes, BLANK] -= 13
    scores[spikes, ids] += random.normal(11, 2, len(ids))
    for offset in (7, 31, 101):
        other = 1 + (np.array(ids) - 1 + offset) % (len(units) - 1)
        scores[spikes, other] += random.normal(4, 2.5, len(ids))
    return torch.from_numpy(scores).float().log_softmax(dim=-1)


def measure() -> None:
    """Compile from lexicon and ARPA file to the stored graph, in a process of its own."""
    parser = make_parser(__doc__)
    add_options(parser)
    parser.add_argument("--topology", choices=("standard", "modified"), default="standard")
    options = parser.parse_args()
    prepare(options)

    def compile_graph(_: int) -> Dict[str, Any]:
        begun, processor = time.perf_counter(), time.process_time()
        config = GraphConfig(topology=options.topology)
        graph = make_graph(options.dir / "units", options.dir / "lm" / "lm.arpa", config)
        save_graph(options.dir / "graph" / "HLG.safetensors", graph)
        return {
            **graph.made_of,
            "seconds": time.perf_counter() - begun,
            "processor": time.process_time() - processor,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }

    results: List[Dict[str, Any]] = []
    run_parallel(compile_graph, 1, 1, lambda _, result: results.append(result))
    found = results[0]
    print(f"{found['states']:,} states, {found['arcs']:,} arcs")
    print_figure("compile_hlg_peak_megabytes", round(found["peak"] / 1e6))
    print(f"{found['seconds']:.1f} s by the clock")
    print_figure("compile_hlg_processor_seconds", found["processor"], digits=3)


if __name__ == "__main__":
    run_measurement(measure)
