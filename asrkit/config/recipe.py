"""Every setting a recipe has, its default, and the reason for the default."""

from typing import Annotated, Any, ClassVar, Literal, Mapping, Optional, Tuple

import msgspec

from asrkit.config.methods import current_methods
from asrkit.config.names import refuse_split_names

Positive = Annotated[int, msgspec.Meta(ge=1)]
NotNegative = Annotated[int, msgspec.Meta(ge=0)]
PositiveReal = Annotated[float, msgspec.Meta(gt=0)]
NotNegativeReal = Annotated[float, msgspec.Meta(ge=0)]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections: frozen, by keyword, an unknown key is an error."""

    # Earlier names -> what they are called now, such as {"lowest_rate": "corpus.min_sampling_rate"}
    renamed: ClassVar[Mapping[str, str]] = {}
    # Settings that are gone -> the value that now always holds
    removed: ClassVar[Mapping[str, Any]] = {}


class CorpusConfig(Settings):
    """What the corpus is, and how much damage in it is tolerated."""

    module: str  # local/<module>.py, which lists the corpus's utterances
    listing: Optional[str] = None  # for tsv and cut_set: the file in the corpus's folder; None: all of them
    allow_pipes: bool = False  # run commands in wav.scp and CutSets (with your privileges)
    train: str = "train"
    dev: str = "dev"
    tests: Tuple[str, ...] = ("test",)
    held_out: Tuple[str, ...] = ()  # of dev and tests, those to be cut out of train: each a tenth, by speaker
    train_sets: Tuple[str, ...] = ()  # the corpus's own sets that train is joined of; none: that of its name
    dev_sets: Tuple[str, ...] = ()  # and dev
    dev_speakers: Tuple[str, ...] = ()  # of train, who make dev where the corpus has no set for it
    partial: bool = False  # fewer utterances than expect.json has are taken, and every result says so
    mirror: Optional[str] = None  # asked before www.openslr.org, such as https://us.openslr.org/resources
    case: Literal["as-is", "upper", "lower"] = "as-is"  # folds letter case of transcripts
    # characters: each is a word, for Chinese and the like; mixed: each Chinese character is one, and what is
    # between them and spaces, such as an English word, is another
    words: Literal["spaced", "characters", "mixed"] = "spaced"
    max_bad_fraction: Fraction = 0.01  # more unusable utterances than this stop the run
    min_duration: PositiveReal = 0.1  # seconds; shorter audio holds no word
    max_duration: PositiveReal = 40.0  # seconds; longer audio is most often a wrong segmentation
    lowest_rate: Optional[Positive] = None  # Hz; any from here on is taken. None: each split's usual one only

    def __post_init__(self) -> None:
        """Refuse names that no split may have, wherever they come from."""
        for setting in ("train", "dev", "tests", "held_out", "train_sets", "dev_sets"):
            names = getattr(self, setting)
            refuse_split_names([names] if isinstance(names, str) else names, f"corpus.{setting}")


class FeaturesConfig(Settings):
    """Log-Mel filter bank, computed by lhotse."""

    sampling_rate: Positive = 16000  # other rates are resampled to this one
    bins: Positive = 80
    frame_shift: PositiveReal = 0.01  # seconds
    frame_length: PositiveReal = 0.025  # seconds
    speed_factors: Tuple[PositiveReal, ...] = (0.9, 1.0, 1.1)  # of training audio; 1.0 is required
    shard_utterances: Positive = 200  # what a killed job loses at most, a process


class UnitsConfig(Settings):
    """What the acoustic model predicts."""

    kind: Literal["bpe", "characters", "phones"] = "bpe"
    vocabulary_size: Positive = 500  # for bpe: pieces including the unknown piece
    # for phones: a file in the recipe's folder, else in the corpus's, "WORD P1 P2 ..." or, with probabilities
    # of pronunciations, "WORD 0.7 P1 P2 ..."; where P1 is written ▁P1 in every line, the model says where a
    # word begins, and greedy finds words that unmarked phones leave ambiguous
    lexicon: Optional[str] = None
    # of phones: a word of the lexicon, such as <OOV>, that stands in training, language model and graph for
    # those of the training text that the lexicon lacks; not set: these are refused
    unknown_word: Optional[str] = None


class NeuralLmConfig(Settings):
    """A recurrent language model over words, of the n-gram's text, for decode.methods: [neural-rescoring]."""

    layers: Optional[Positive] = None  # of an LSTM; not set: none is trained
    dim: Positive = 128  # of its words and layers
    dropout: Fraction = 0.2
    epochs: Positive = 10  # that with the lowest perplexity on dev is kept
    learning_rate: PositiveReal = 3e-3  # of Adam, at the start; it falls to 0


class LmConfig(Settings):
    """The n-gram language model, estimated on training text only."""

    order: Positive = 3
    # Either sorts in temporary files in the experiment's lm/: builtin in about 60 bytes a word of text
    estimator: Literal["builtin", "lmplz"] = "builtin"
    # Further text, a file in the recipe's folder: a sentence a line (.gz or not) or, where its name ends in
    # .yaml, a grammar that sentences are drawn from, the same ones each time. Its words may be decoded too.
    text: Optional[str] = None
    text_sentences: Optional[Positive] = None  # drawn from the grammar; 5,000 where this isn't set
    # The transcripts and lm.text get a model each, interpolated with the weight that is best on dev; joined
    # into one text instead, the larger drowns the smaller
    interpolate: bool = False
    # Leaves sentences of dev and test sets out of lm.text: in a book they are a leak. By default they are
    # only counted, since short ones, such as names and numbers, are in any such text
    exclude_heldout: bool = False
    # Rarer n-grams are left out: an entry an order, the last one for higher orders too; first 1, for unigrams
    min_counts: Tuple[Positive, ...] = ()
    # Then n-grams of the graph's model are left out whose loss raises its perplexity by less than this share,
    # such as 1e-8, for a smaller graph; the model of rescore_order stays whole
    prune: NotNegativeReal = 0.0
    arpa: Optional[str] = None  # a ready model instead, there or in the corpus's folder, .gz or not
    rescore_order: Optional[Annotated[int, msgspec.Meta(ge=2)]] = (
        None  # of a second, larger n-gram to rescore with
    )
    rescore_arpa: Optional[str] = None  # a ready one of that order
    neural: NeuralLmConfig = NeuralLmConfig()


class GraphConfig(Settings):
    """Decoding graph: H (CTC topology) composed with L and G."""

    topology: Literal["standard", "modified"] = "standard"
    # A unit of the lexicon, such as SIL of the line "<SIL> SIL", that may be before, between and after words.
    # None: the blank of CTC covers silence, and training learns the unit only from transcripts with its word
    optional_silence: Optional[str] = None
    silence_probability: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.5  # at each of these places; Kaldi's


class ModelConfig(Settings):
    """Residual convolutions over (time, frequency), then self-attention."""

    depth: Optional[Literal["resnet18", "resnet34", "resnet50", "resnet101"]] = None  # sets the next two
    block: Literal["basic", "bottleneck"] = "basic"
    stage_blocks: Tuple[Positive, ...] = (1, 1, 1, 1)  # residual blocks a stage
    stem_channels: Positive = 32
    stem_kernel: Positive = 3
    stage_channels: Tuple[Positive, ...] = (32, 64, 96, 128)  # a bottleneck block puts out four times these
    squeeze_reduction: NotNegative = 0  # squeeze-and-excitation: channels to one hidden number; 0: none
    stochastic_depth: Fraction = 0.0  # chance of skipping the last residual block; earlier ones in proportion
    stem_stride: Tuple[Positive, ...] = (2, 2)  # (time, frequency)
    stage_time_strides: Tuple[Positive, ...] = (1, 2, 1, 1)  # with the stem: 4 in all
    stage_frequency_strides: Tuple[Positive, ...] = (1, 2, 2, 2)
    residual: bool = True  # shortcuts round the convolutions; false for an ablation
    attention_blocks: NotNegative = 4
    attention: bool = True  # in these blocks; false for an ablation, which keeps the rest of them
    attention_dim: Positive = 192
    attention_heads: Positive = 4
    feedforward_dim: Positive = 768
    positions: Literal["rotary", "relative"] = "rotary"  # of frames; relative, as in Conformer, costs more
    convolution_kernel: NotNegative = 15  # frames seen by each block's convolution module; 0: none
    intermediate_blocks: Tuple[Positive, ...] = ()  # blocks, from 1, whose output gets a CTC loss too
    decoder_blocks: NotNegative = 0  # attention decoder beside CTC, of the same heads and dims; 0: none
    dropout: Fraction = 0.1


class NoiseConfig(Settings):
    """Recorded noise that is mixed into training speech, such as MUSAN's (OpenSLR 17)."""

    directory: Optional[str] = None  # in the recipe's or corpus's folder, or /...: each WAV and FLAC below it
    probability: Fraction = 0.5  # for an utterance, redrawn in each epoch
    signal_to_noise: Tuple[float, float] = (10.0, 30.0)  # decibels, drawn between the two


class RoomsConfig(Settings):
    """Impulse responses of rooms that training speech is put into, such as RIRS_NOISES (OpenSLR 28)."""

    directory: Optional[str] = None  # as for noise; for instance RIRS_NOISES/simulated_rirs
    probability: Fraction = 0.5  # for an utterance, redrawn in each epoch, with noise or without


class TrainConfig(Settings):
    """Optimisation."""

    # How much, and on what
    epochs: Positive = 30
    batch_duration: PositiveReal = 100.0  # seconds of audio a step of all processes, padding included
    buckets: Positive = 20  # of similar duration; more mean less padding and less shuffling
    accumulate: Positive = 1  # batches of a process in a step, one after the other, where memory is short
    processes: Positive = 1  # each takes its share of every step; on a CPU two of one thread beat one of two
    threads: NotNegative = 0  # torch threads of a process; 0: as many as there are cores for each
    precision: Literal["float32", "bfloat16", "float16"] = "float32"  # of products; float16 on a GPU only
    compile: bool = False  # by torch.compile, where torch has it: faster steps after minutes of compiling
    seed: int = 1
    init_from: Optional[str] = None  # a file in the recipe's folder, or /...: torchvision's ResNet weights

    # Steps
    optimizer: Literal["muon", "adamw"] = "muon"  # muon gets as far as adamw in about half the steps
    learning_rate: PositiveReal = 4e-3  # the peak, after warm-up
    warmup_steps: NotNegative = 200
    schedule: Literal["cosine", "noam", "eden"] = "cosine"  # cosine ends with the run; the others go on
    final_rate_fraction: Fraction = 0.02  # cosine decay ends at this share of the peak
    eden_steps: PositiveReal = 5000.0  # where eden's decay by steps begins
    eden_epochs: PositiveReal = 6.0  # and that by epochs
    weight_decay: NotNegativeReal = 0.01
    adam_beta2: Fraction = 0.98  # shorter memory than 0.999: runs here are short
    gradient_clip: PositiveReal = 5.0  # of the total 2-norm

    # The loss: CTC, and what is added to it
    ctc: Literal["torch", "k2"] = "torch"  # who computes CTC; k2, if installed, more exactly and slower
    decoder_weight: Fraction = 0.3  # share of model.decoder_blocks in the loss; CTC has the rest
    label_smoothing: Fraction = 0.1  # of the decoder's targets, spread over all units
    consistency_weight: NotNegativeReal = 0.0  # 0.2: two augmented views must agree, at twice the work
    intermediate_weight: Fraction = 0.3  # share of the loss that model.intermediate_blocks have together

    # Augmentation: SpecAugment, vocal tracts, voices and microphones
    time_warp_frames: NotNegative = 0  # how far a moment is moved; 80 is usual
    time_masks: NotNegative = 2
    time_mask_fraction: Fraction = 0.1  # of the utterance, the widest mask
    frequency_masks: NotNegative = 2
    frequency_mask_bins: NotNegative = 20
    frequency_warp: Fraction = 0.0  # widest change of frequencies, as by another vocal tract
    level_decibels: NotNegativeReal = 0.0  # widest change of an utterance's level
    tilt_decibels: NotNegativeReal = 0.0  # and of its highest bin against its lowest, the others in between

    # Augmentation of the audio: what is drawn has its features computed anew
    noise: NoiseConfig = NoiseConfig()
    rooms: RoomsConfig = RoomsConfig()

    concatenate: Fraction = 0.0  # share of utterances joined in pairs of anyone's, other pairs each epoch

    # What is kept
    ema_decay: Fraction = 0.0  # 0.999: a running mean of the weights is evaluated and kept instead of them
    checkpoint_steps: Positive = 200  # steps between checkpoints inside an epoch
    keep_best: Positive = 5  # checkpoints with the lowest dev error, for averaging
    keep_last: Positive = 5


class AverageConfig(Settings):
    """Averaging of checkpoints; which set of them is chosen on dev."""

    # best-N: the N with the fewest errors on dev; last-N: of the last N epochs. What train.keep_best and
    # train.keep_last have deleted is missing from them.
    candidates: Annotated[
        Tuple[Annotated[str, msgspec.Meta(pattern="^(best|last)-[1-9][0-9]*$")], ...],
        msgspec.Meta(min_length=1),
    ] = ("best-1", "best-3", "best-5", "last-3", "last-5")


class DecodeConfig(Settings):
    """Decoding; the scales and the word insertion bonus are chosen on dev."""

    renamed: ClassVar[Mapping[str, str]] = {"ladder_beam_factor": "decode.retry_beam_factor"}

    # Names of METHODS in asrkit/config/methods.py, where each is described
    methods: Annotated[Tuple[str, ...], msgspec.Meta(min_length=1)] = ("greedy", "1best")
    # 10 is faster and loses nothing on voices like those of training, but 1.5 % on the demo's unseen voice
    search_beam: PositiveReal = 20.0
    output_beam: PositiveReal = 10.0  # keeps paths that another lm_scale or word bonus may make the best
    min_active_states: Positive = 30
    max_active_states: Positive = 1000  # benchmarks/beam_sweep.py measures errors and speed of these beams
    search_lm_scale: PositiveReal = 0.5  # during the search; about the middle of lm_scales
    # The grid on dev: language-model scale and word insertion bonus (log domain, per word)
    lm_scales: Annotated[Tuple[NotNegativeReal, ...], msgspec.Meta(min_length=1)] = (
        *(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.5),
    )
    word_bonuses: Annotated[Tuple[float, ...], msgspec.Meta(min_length=1)] = (-2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
    # Scales of the attention decoder, with CTC's fixed at 1, with and without the n-gram; 0 gives 1best
    attention_scales: Annotated[Tuple[NotNegativeReal, ...], msgspec.Meta(min_length=1)] = (
        *(0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0),
    )
    batch_duration: PositiveReal = 120.0  # seconds of audio per batch through the acoustic model
    shard_utterances: Positive = 64  # utterances per shard: the most work a killed process can lose
    # Lattices stay on disk, about 5 kB per second of audio, and are reused by other scales and methods
    keep_lattices: bool = True
    nbest_paths: Positive = 200  # paths drawn for the n-best list, beside the best at each point of the grid
    prefix_beams: Positive = 50  # prefixes kept per frame in prefix-beam-search
    # Frames with a more probable blank are skipped in the search, their scores are kept; null: none
    blank_skip_threshold: Optional[Annotated[float, msgspec.Meta(gt=0, lt=1)]] = 0.999
    retry_beam_factor: PositiveReal = 2.0  # beam multiplier when the first lattice is empty

    def __post_init__(self) -> None:
        """Translate former names of methods, refuse unknown ones."""
        msgspec.structs.force_setattr(self, "methods", current_methods(self.methods))


class ScoreConfig(Settings):
    """Error counting."""

    unit: Literal["word", "character", "unit"] = "word"  # what the headline rate counts; unit: of units.txt
    # Steps on reference and hypothesis alike, in this order, before words and characters are counted;
    # none by default: what is counted is what the corpus says
    normalise: Tuple[Literal["nfkc", "lower", "strip-punctuation"], ...] = ()
    bootstrap_samples: Positive = 10000
    confidence: Fraction = 0.95


class RecipeConfig(Settings):
    """A whole recipe."""

    name: str
    corpus: CorpusConfig
    features: FeaturesConfig = FeaturesConfig()
    units: UnitsConfig = UnitsConfig()
    lm: LmConfig = LmConfig()
    graph: GraphConfig = GraphConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    average: AverageConfig = AverageConfig()
    decode: DecodeConfig = DecodeConfig()
    score: ScoreConfig = ScoreConfig()
