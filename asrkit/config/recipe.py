"""Every setting a recipe has, its default, and the reason for the default."""

from typing import Annotated, Any, ClassVar, Literal, Mapping, Optional, Tuple, Type, Union, get_args

import msgspec

from asrkit.config.methods import current_methods
from asrkit.config.names import refuse_split_names

Positive = Annotated[int, msgspec.Meta(ge=1)]
FilterOrder = Annotated[int, msgspec.Meta(ge=1, le=40)]  # rounding errors make orders of hundreds unstable
NotNegative = Annotated[int, msgspec.Meta(ge=0)]
PositiveReal = Annotated[float, msgspec.Meta(gt=0)]
NotNegativeReal = Annotated[float, msgspec.Meta(ge=0)]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Part = Annotated[float, msgspec.Meta(ge=0, lt=1)]  # below 1, so that something is left for the other part
DropRate = Annotated[float, msgspec.Meta(ge=0, le=0.99)]  # layers round it to 1/256 and must keep something
Seed = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]  # batches are seeded by multiples, in 64 bits


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base class of all sections: frozen, keyword-only; an unknown key is an error.

    By `renamed` and `removed` records of earlier versions are compared with today's settings.
    """

    # Earlier name -> current name, such as {"old_name": "section.new_name"}
    renamed: ClassVar[Mapping[str, str]] = {}
    # Removed setting -> the value that now always holds
    removed: ClassVar[Mapping[str, Any]] = {}


class CorpusConfig(Settings):
    """The corpus, its splits, and which utterances are rejected."""

    renamed: ClassVar[Mapping[str, str]] = {"lowest_rate": "corpus.min_sampling_rate"}

    module: str  # local/<module>.py, which downloads the corpus and lists its utterances
    listing: Optional[str] = None  # tsv, cut_set: the file in the corpus's folder; None: all such files
    allow_pipes: bool = False  # run piped commands in wav.scp and CutSets (with your privileges)
    train: str = "train"
    dev: str = "dev"
    tests: Tuple[str, ...] = ("test",)
    held_out: Tuple[str, ...] = ()  # splits carved out of train (10 % each, speaker-disjoint)
    train_sets: Tuple[str, ...] = ()  # subsets that make up train; empty: the subset of that name
    dev_sets: Tuple[str, ...] = ()  # subsets that make up dev; empty: the subset of that name
    dev_speakers: Tuple[str, ...] = ()  # speakers of train that make up dev, if the corpus has no dev set
    partial: bool = False  # accept fewer utterances than in expect.json; results are marked as partial
    mirror: Optional[str] = None  # tried before www.openslr.org, e.g. https://us.openslr.org/resources
    case: Literal["as-is", "upper", "lower"] = "as-is"  # letter case of transcripts
    # spaced: words are separated by spaces. characters: each character is a word (Chinese).
    # mixed: each Chinese character is a word, and so is each run of other characters (code-switching)
    words: Literal["spaced", "characters", "mixed"] = "spaced"
    max_bad_fraction: Fraction = 0.01  # stop if more of a split than this is rejected
    min_duration: PositiveReal = 0.1  # seconds; shorter audio contains no word
    max_duration: PositiveReal = 40.0  # seconds; longer utterances are mostly segmentation errors
    # Hz; accept this rate and above; None: only the split's majority rate
    min_sampling_rate: Optional[Positive] = None

    @property
    def first_test(self) -> str:
        """The first test set; dev, if the recipe has none."""
        return (*self.tests, self.dev)[0]

    def __post_init__(self) -> None:
        """Refuse invalid names of splits."""
        for setting in ("train", "dev", "tests", "held_out", "train_sets", "dev_sets"):
            names = getattr(self, setting)
            refuse_split_names([names] if isinstance(names, str) else names, f"corpus.{setting}")


class DcConfig(Settings, tag_field="kind", tag="dc"):
    """Removal of a constant offset."""


class HighPassConfig(Settings, tag_field="kind", tag="high_pass"):
    """High-pass filter, against rumble and wind."""

    hertz: PositiveReal = 80.0  # below most voices
    order: FilterOrder = 4


class LowPassConfig(Settings, tag_field="kind", tag="low_pass"):
    """Low-pass filter, against hiss."""

    hertz: PositiveReal = 7000.0
    order: FilterOrder = 4


class NotchConfig(Settings, tag_field="kind", tag="notch"):
    """Narrow filters against the hum of mains and its harmonics."""

    hertz: PositiveReal = 50.0  # 60 in the Americas
    harmonics: Positive = 4
    quality: PositiveReal = 30.0  # frequency over bandwidth


class DenoiseConfig(Settings, tag_field="kind", tag="denoise"):
    """Noise suppression."""

    # webrtc is light; rnnoise and deepfilternet are networks, for Python 3.10 and later
    by: Literal["webrtc", "rnnoise", "deepfilternet"] = "webrtc"
    mix: Fraction = 0.5  # share of the denoised signal; 1 hurts models that were trained without denoising
    level: Annotated[int, msgspec.Meta(ge=0, le=4)] = 2  # webrtc's strength


class DereverberateConfig(Settings, tag_field="kind", tag="dereverberate"):
    """Weighted prediction error (Nakatani et al. 2010); the package's defaults."""

    taps: Positive = 10  # frames of 8 ms
    delay: Positive = 3
    iterations: Positive = 3


SignalStep = Union[DcConfig, HighPassConfig, LowPassConfig, NotchConfig, DenoiseConfig, DereverberateConfig]


class SignalConfig(Settings):
    """What happens to samples before features are computed, in training and in recognition."""

    steps: Tuple[SignalStep, ...] = ()  # in this order, such as [{kind: high_pass, hertz: 80}]


class FeaturesConfig(Settings):
    """Log-Mel filter bank, computed by lhotse."""

    sampling_rate: Positive = 16000  # Hz; audio of other rates is resampled
    bins: Positive = 80  # usual for wideband speech; 40 for telephone speech
    frame_shift: PositiveReal = 0.01  # seconds
    frame_length: PositiveReal = 0.025  # seconds
    speed_factors: Tuple[PositiveReal, ...] = (0.9, 1.0, 1.1)  # of training audio; 1.0 is required
    shard_utterances: Positive = 200  # per shard: the most work a killed process can lose


class UnitsConfig(Settings):
    """Units that the acoustic model predicts."""

    kind: Literal["bpe", "characters", "phones"] = "bpe"
    vocabulary_size: Positive = 500  # for bpe: pieces, including the unknown piece
    # for phones: a file in the recipe's folder or the corpus's, with lines "WORD P1 P2 ..." or, with
    # probabilities of pronunciations, "WORD 0.7 P1 P2 ...". If P1 is written ▁P1 on every line, the model
    # predicts where words begin, and greedy decoding finds words that unmarked phones leave ambiguous
    lexicon: Optional[str] = None
    # for phones: a word of the lexicon, such as <OOV>, that replaces out-of-vocabulary words of the training
    # text in training, language model and graph; None: they are an error
    unknown_word: Optional[str] = None
    # for phones: AH0, AH1 and AH2 of CMUdict become AH; few hours of speech don't train 70 phones
    merge_stress: bool = False
    # for phones: words of the training text and of lm.text that the lexicon lacks get the pronunciation that
    # Phonetisaurus learns from the lexicon (extra [lexicon]); None: they are left out, or an error
    grapheme_to_phoneme: Optional[Literal["phonetisaurus"]] = None


class NeuralLmConfig(Settings):
    """A neural language model on the n-gram's text, for decode.methods: [neural-rescoring].

    lstm reads words one after another; residual has gated causal convolutions with residual connections,
    which see `layers * (kernel - 1)` words back; masked predicts each word from all others, as BERT does.
    """

    kind: Literal["lstm", "residual", "masked"] = "lstm"
    layers: Optional[Positive] = None  # None: no model is trained
    # What is predicted: words, the units that spell them (section units), or BPE pieces of the model's own,
    # for a text with more words than an output layer can have
    tokens: Literal["words", "units", "pieces"] = "words"
    pieces: Positive = 2000  # with tokens: pieces
    sentences: Optional[Positive] = None  # drawn at random from a text that takes too long; None: all
    batch_sentences: Optional[Positive] = None  # per step; None: 8, of masked 32, for sentences of some words
    # of masked: the folder of a Hugging Face masked language model (extra [bert]), which is not trained;
    # in the recipe's folder or /...
    path: Optional[str] = None
    kernel: Annotated[int, msgspec.Meta(ge=2)] = 4  # tokens that a convolution sees, of residual
    heads: Positive = 4  # of attention, of masked
    # Tokens on either side of a masked word that masked reads when it scores, and a quarter of the tokens per
    # row in training; None: the sentence. With 2 to 4, lists of 100 hypotheses take about 0.1 times the audio
    context: Optional[Positive] = None
    mask_share: Fraction = 0.2  # of tokens, with the rest of their words, in training of masked
    dim: Positive = 128  # of embeddings and layers
    dropout: DropRate = 0.2
    epochs: Positive = 10  # the one with the lowest perplexity on dev is kept
    learning_rate: PositiveReal = 3e-3  # Adam's, at the start; it falls linearly to 0


class LmConfig(Settings):
    """The n-gram language model, estimated on training text only."""

    # Sentences of dev and test sets in lm.text are reported: short ones, such as numbers, occur in any text
    removed: ClassVar[Mapping[str, Any]] = {"exclude_heldout": False}

    order: Positive = 3
    # Both sort in temporary files in the experiment's lm/: builtin in about 60 bytes per word of text
    estimator: Literal["builtin", "lmplz"] = "builtin"
    # Extra LM text, a file in the recipe's folder: one sentence per line (or .gz, .xz), or a grammar (.yaml,
    # .yml), from which the same sentences are drawn each time. Its words are added to the vocabulary.
    text: Optional[str] = None
    text_sentences: Optional[Positive] = None  # drawn from the grammar; None: 5,000
    # Interpolate one model of the transcripts and one of lm.text, with the weight that is best on dev; in one
    # joint text, the larger of the two dominates. With lm.arpa: the transcripts' and the ready models
    interpolate: bool = False
    # Leave out rarer n-grams: one count per order, the last also for higher orders; 1 for unigrams
    min_counts: Tuple[Positive, ...] = ()
    # Entropy pruning of the graph's model, for a smaller graph: n-grams are left out if that raises the
    # perplexity by a smaller factor than 1 + this, such as 1e-8. The model of rescore_order isn't pruned
    prune: NotNegativeReal = 0.0
    # A ready model instead, in the recipe's folder or the corpus's; plain, .gz or .xz
    arpa: Optional[str] = None
    # order of a second, larger n-gram model for rescoring
    rescore_order: Optional[Annotated[int, msgspec.Meta(ge=2)]] = None
    rescore_arpa: Optional[str] = None  # a ready model of that order
    neural: NeuralLmConfig = NeuralLmConfig()
    second_neural: NeuralLmConfig = NeuralLmConfig()  # beside it, for decode.methods: [two-neural-rescoring]


class GraphConfig(Settings):
    """Decoding graph: H (CTC topology) composed with L and G."""

    topology: Literal["standard", "modified"] = "standard"
    # A unit of the lexicon, such as SIL in the line "<SIL> SIL", that may occur before, between and after
    # words. None: CTC's blank covers silence. The model learns the unit from transcripts that contain its
    # word, or with train.optional_silence
    optional_silence: Optional[str] = None
    silence_probability: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.5  # at each of these places; Kaldi's


class ModelConfig(Settings):
    """A front end over (time, frequency), then encoder blocks over time."""

    renamed: ClassVar[Mapping[str, str]] = {
        "depth": "model.front",
        "block": "model.front",
        "attention": "model.encoder",
    }

    utterance_mean: bool = False  # normalise by the utterance's mean too (CMN), against level and channel
    # Residual 2-D convolutions: with basic blocks, with bottleneck blocks, or a preset for stage_blocks
    front: Literal["resnet", "resnet-bottleneck", "resnet18", "resnet34", "resnet50", "resnet101"] = "resnet"
    stage_blocks: Tuple[Positive, ...] = (1, 1, 1, 1)  # residual blocks per stage
    stem_channels: Positive = 32
    stem_kernel: Positive = 3  # 7 for torchvision's weights
    stage_channels: Tuple[Positive, ...] = (32, 64, 96, 128)  # a bottleneck block outputs four times as many
    # After asrkit prune: channels inside the blocks of each stage, heads, feed-forward units of the encoder
    inner_channels: Tuple[Positive, ...] = ()  # empty: stage_channels
    encoder_heads: Optional[Positive] = None  # of the size that attention_heads have; None: all of them
    encoder_feedforward_dim: Optional[Positive] = None  # None: feedforward_dim
    squeeze_reduction: NotNegative = 0  # of squeeze-and-excitation, which is off at 0; 16 is usual
    stochastic_depth: Part = 0.0  # drop rate of the last residual block, scaled linearly with depth
    stem_stride: Tuple[Positive, ...] = (2, 2)  # (time, frequency)
    stage_time_strides: Tuple[Positive, ...] = (1, 2, 1, 1)  # with the stem: subsampling factor 4
    stage_frequency_strides: Tuple[Positive, ...] = (1, 2, 2, 2)
    residual: bool = True  # residual connections; false for an ablation
    # Blocks of the encoder, each with a feed-forward network: self-attention and a convolution module,
    # self-attention (Transformer), or a convolution module (for an ablation)
    encoder: Literal["conformer", "attention", "convolution"] = "conformer"
    attention_blocks: NotNegative = 4  # encoder blocks of any kind
    attention_dim: Positive = 192
    attention_heads: Positive = 4
    feedforward_dim: Positive = 768
    positions: Literal["rotary", "relative"] = "rotary"  # relative, as in Conformer, is slower
    convolution_kernel: Positive = 15  # frames, of the convolution module
    convolution_causal: bool = False  # the convolution module sees no later frames, as streaming needs
    left_context: Positive = 64  # frames before a chunk that its attention sees, in streaming
    intermediate_blocks: Tuple[Positive, ...] = ()  # blocks, counted from 1, with a CTC loss (InterCTC)
    decoder_blocks: NotNegative = 0  # of an attention decoder beside CTC, same heads and dims; 0: none
    transducer: bool = False  # predictor and joiner beside CTC, same dims, for train.criterion: transducer
    dropout: DropRate = 0.1


class ConcatenateConfig(Settings, tag_field="kind", tag="concatenate"):
    """Concatenation of utterances, for longer sentences and changes of speaker."""

    fraction: Fraction = 0.2  # of utterances concatenated in random pairs, redrawn every epoch


Range = Tuple[float, float]  # from which a value is drawn uniformly per utterance
PositiveRange = Tuple[PositiveReal, PositiveReal]


class WaveformConfig(Settings, kw_only=True):
    """Base class of the transforms of training speech before its features are computed."""

    probability: Fraction = 0.5  # per utterance, redrawn every epoch

    def __post_init__(self) -> None:
        """Refuse a range with its ends exchanged."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, tuple) and not isinstance(value[0], str) and value[0] > value[1]:
                low, high = value
                expected = f"expected the lower one first: [{high:g}, {low:g}]"
                raise ValueError(f"{name} is [{low:g}, {high:g}], {expected}")


class ReverberationConfig(WaveformConfig, tag_field="kind", tag="reverberation"):
    """Room impulse responses (RIRs) convolved with training speech, such as RIRS_NOISES (OpenSLR 28)."""

    # In the recipe's or corpus's folder, or absolute: all audio files below it. None: synthetic RIRs, a
    # direct sound and noise that decays
    directory: Optional[str] = None
    rt60: PositiveRange = (0.2, 1.2)  # of synthetic RIRs: seconds in which the sound decays by 60 dB
    direct_ratio: Range = (-3.0, 10.0)  # of synthetic RIRs: dB, the energy of direct sound to the rest


class BabbleConfig(WaveformConfig, tag_field="kind", tag="babble"):
    """Training utterances of other speakers, who speak at once, added to training speech."""

    snr: Range = (5.0, 25.0)  # dB, of the speech to all voices together
    voices: Tuple[Positive, Positive] = (3, 7)


class NoiseConfig(WaveformConfig, tag_field="kind", tag="noise"):
    """Recorded noise added to training speech, such as MUSAN (OpenSLR 17)."""

    directory: str  # in the recipe's or corpus's folder, or absolute: all audio files below it
    snr: Range = (10.0, 30.0)  # dB


class RumbleConfig(WaveformConfig, tag_field="kind", tag="rumble"):
    """Noise at low frequencies added to training speech."""

    snr: Range = (0.0, 25.0)  # dB
    hertz: PositiveRange = (50.0, 400.0)  # the highest


class HumConfig(WaveformConfig, tag_field="kind", tag="hum"):
    """Hum of mains, with harmonics, added to training speech."""

    snr: Range = (0.0, 25.0)  # dB
    hertz: PositiveRange = (45.0, 65.0)


class HissConfig(WaveformConfig, tag_field="kind", tag="hiss"):
    """Noise at high frequencies added to training speech."""

    snr: Range = (0.0, 25.0)  # dB
    hertz: PositiveRange = (1000.0, 6000.0)  # the lowest


class BandPassConfig(WaveformConfig, tag_field="kind", tag="band_pass"):
    """Band limits, as of telephones and cheap microphones; 300 and 3400 Hz are those of telephones."""

    low_hertz: PositiveRange = (20.0, 400.0)
    high_hertz: PositiveRange = (2800.0, 7800.0)


class ClippingConfig(WaveformConfig, tag_field="kind", tag="clipping"):
    """Clipping, as by too high a recording level."""

    share: Tuple[Fraction, Fraction] = (0.0, 0.15)  # of the samples


Codec = Literal["mp3", "opus", "gsm", "mulaw"]


class CodecConfig(WaveformConfig, tag_field="kind", tag="codec"):
    """Encoding and decoding by a codec drawn from `codecs`; GSM 6.10 and mu-law (G.711) are at 8 kHz."""

    codecs: Annotated[Tuple[Codec, ...], msgspec.Meta(min_length=1)] = ("mp3", "opus", "gsm", "mulaw")
    # libsndfile's level for MP3 and Opus: 0.9 is 25 and 34 kbit/s at 16 kHz, 0.98 is 8 and 12
    compression: Tuple[Fraction, Fraction] = (0.9, 0.98)


class GainAndTiltConfig(Settings, tag_field="kind", tag="gain_and_tilt"):
    """Random gain and spectral tilt per utterance, as from other microphones and distances.

    Left out with model.utterance_mean, which would remove both again.
    """

    max_gain: NotNegativeReal = 3.0  # dB, up or down
    max_tilt: NotNegativeReal = 6.0  # dB, of the highest bin relative to the lowest, linear in between


class VtlpConfig(Settings, tag_field="kind", tag="vtlp"):
    """Vocal tract length perturbation (Jaitly and Hinton 2013)."""

    max_warp: Fraction = 0.1  # frequencies are scaled by 1 - max_warp to 1 + max_warp, as in the paper


class SpecAugmentConfig(Settings, tag_field="kind", tag="spec_augment"):
    """SpecAugment (Park et al. 2019): time warping, frequency masks and time masks."""

    time_warp_frames: NotNegative = 0  # largest shift of the warped frame; 80 is usual for long utterances
    time_masks: NotNegative = 2
    time_mask_fraction: Fraction = 0.1  # widest mask, as a fraction of the utterance
    frequency_masks: NotNegative = 2
    frequency_mask_bins: NotNegative = 20  # widest mask; the paper's 27 suits more data


# In the order of application: what acts on utterances, then on waveforms, then on features
Augmentation = Union[
    ConcatenateConfig,
    ReverberationConfig,
    BabbleConfig,
    NoiseConfig,
    RumbleConfig,
    HumConfig,
    HissConfig,
    BandPassConfig,
    ClippingConfig,
    CodecConfig,
    GainAndTiltConfig,
    VtlpConfig,
    SpecAugmentConfig,
]
DEFAULT_AUGMENT: Tuple[Augmentation, ...] = (SpecAugmentConfig(),)


def kind_of(settings: Union[msgspec.Struct, Type[msgspec.Struct]]) -> str:
    """The `kind` of an entry of a list in recipe.yaml, such as "spec_augment"."""
    return str(settings.__struct_config__.tag)


# What augment may have, by kind
TRANSFORMS: Mapping[str, Type[Settings]] = {kind_of(each): each for each in get_args(Augmentation)}

# Settings of train in earlier versions -> where they are in augment
MOVED_TO_AUGMENT = {
    "concatenate": "concatenate.fraction",
    "rooms.probability": "reverberation.probability",
    "rooms.directory": "reverberation.directory",
    "noise.probability": "noise.probability",
    "noise.signal_to_noise": "noise.snr",
    "noise.directory": "noise.directory",
    "level_decibels": "gain_and_tilt.max_gain",
    "tilt_decibels": "gain_and_tilt.max_tilt",
    "frequency_warp": "vtlp.max_warp",
    **{name: f"spec_augment.{name}" for name in SpecAugmentConfig.__struct_fields__},
}

STREAM_CHUNK = 0.32  # seconds of audio per chunk of a stream, unless an option overrides it


class TrainConfig(Settings):
    """Optimisation."""

    renamed: ClassVar[Mapping[str, str]] = {
        "accumulate": "train.gradient_accumulation",
        **{
            old.partition(".")[0]: "augment: [{{kind: {0}, {1}: ...}}], or --set augment.{0}.{1}=...".format(
                *new.split(".")
            )
            for old, new in MOVED_TO_AUGMENT.items()
        },
    }
    removed: ClassVar[Mapping[str, Any]] = {"adam_beta2": 0.98, "eden_steps": 5000.0, "eden_epochs": 6.0}

    # Data and hardware
    epochs: Positive = 30
    batch_duration: PositiveReal = 100.0  # seconds of audio per step over all ranks, including padding
    buckets: Positive = 20  # of similar duration; more mean less padding and less shuffling
    gradient_accumulation: Positive = 1  # batches per rank and step, to save memory
    processes: Positive = 1  # world size; on a CPU two ranks of one thread beat one of two
    threads: NotNegative = 0  # torch threads per rank; 0: the cores divided by the ranks
    # Processes per rank that make batches; null: none where cores train, beside a GPU the cores that are left
    workers: Optional[NotNegative] = None
    precision: Literal["float32", "bfloat16", "float16"] = "float32"  # of products; float16 on a GPU only
    compile: bool = False  # torch.compile, if torch has it: faster steps after minutes of compilation
    seed: Seed = 1
    # For streaming, 25 is usual: half of the batches see whole utterances, the others chunks of 1 to so many
    # frames of the encoder, and model.left_context (Zhang et al. 2020, U2). null: whole utterances only
    chunk: Optional[Positive] = None
    # An experiment's folder, or a ResNet's weights, with torchvision's or WeSpeaker's names, in a safetensors
    # file; in the recipe's folder, or absolute
    init_from: Optional[str] = None
    # Of the utterances of an epoch, the share drawn from the training data of init_from, against forgetting
    replay: Part = 0.0
    freeze: Tuple[str, ...] = ()  # parts of the model that stay as they are, such as front or blocks.0

    # Optimiser
    optimizer: Literal["muon", "adamw"] = "muon"  # muon needs about half the steps of adamw
    learning_rate: PositiveReal = 4e-3  # the peak, after warm-up
    warmup_steps: NotNegative = 200
    schedule: Literal["cosine", "noam", "eden"] = "cosine"  # only cosine depends on the number of epochs
    final_rate_fraction: Fraction = 0.02  # cosine decays to this fraction of the peak
    weight_decay: NotNegativeReal = 0.01
    gradient_clip: PositiveReal = 5.0  # maximum total 2-norm
    # Steps: more than 3 not finite in so many are an error; in hundreds of thousands a few are usual
    skip_window: Positive = 10_000

    # Loss: a criterion and additions. lf-mmi: lattice-free MMI, discriminative, with a bigram of the units;
    # transducer: pruned RNN-T, with model.transducer
    criterion: Literal["ctc", "lf-mmi", "transducer"] = "ctc"
    ctc_weight: Fraction = 0.3  # of CTC beside another criterion, which has the rest
    ctc: Literal["torch", "k2"] = "torch"  # k2 sums over all pronunciations of the lexicon; slower
    # Of k2's graphs. modified: repeated units need no blank; set graph.topology, too
    topology: Literal["standard", "modified"] = "standard"
    optional_silence: Optional[str] = None  # in k2's graphs: a unit, as of graph.optional_silence
    decoder_weight: Part = 0.3  # loss weight of the attention decoder; CTC has the rest
    label_smoothing: Part = 0.1  # of the attention decoder's targets
    consistency_weight: NotNegativeReal = 0.0  # CR-CTC, 0.2 is usual: two augmented views, twice the work
    intermediate_weight: Part = 0.3  # loss weight of all model.intermediate_blocks together (InterCTC)

    # Checkpoints
    # 0.999: evaluate and keep an exponential moving average of the weights. The decay
    # is smaller in the first steps, so that the random start is soon forgotten
    ema_decay: Part = 0.0
    checkpoint_steps: Positive = 200  # steps between checkpoints within an epoch
    keep_best: Positive = 5  # epochs with the lowest dev error, for averaging
    keep_last: Positive = 5  # last epochs, for averaging


class AverageConfig(Settings):
    """Averaging of epoch checkpoints; the candidate is chosen on dev."""

    # best-N: the N epochs with the fewest errors on dev; last-N: the last N epochs. No more than
    # train.keep_best and train.keep_last keep.
    candidates: Annotated[
        Tuple[Annotated[str, msgspec.Meta(pattern="^(best|last)-[1-9][0-9]*$")], ...],
        msgspec.Meta(min_length=1),
    ] = ("best-1", "best-3", "best-5", "last-3", "last-5")
    # Of the model that training started from (train.init_from), the share in the average, against forgetting
    initial_share: Part = 0.0
    # Posteriors are divided by the label priors (estimated on dev) to this power, in all uses of the model
    prior_scale: NotNegativeReal = 0.0


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
    # Of average, the posteriors and the search; auto: a GPU if there is one. Without one all CPU cores search
    device: Literal["auto", "cpu", "cuda"] = "auto"
    # Of matrix products and convolutions there; float16 needs device cuda
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    shard_utterances: Positive = 64  # utterances per shard: the most work a killed process can lose
    # Lattices stay on disk, about 5 kB per second of audio, and are reused by other scales and methods
    keep_lattices: bool = True
    nbest_paths: Positive = 200  # paths drawn for the n-best list, beside the best at each point of the grid
    prefix_beams: Positive = 50  # prefixes kept per frame in prefix-beam-search
    transducer_beam: Positive = 8  # unit sequences kept per frame in modified-beam-search
    # Frames with a more probable blank are skipped in the search, their scores are kept; null: none
    blank_skip_threshold: Optional[Annotated[float, msgspec.Meta(gt=0, lt=1)]] = 0.999
    retry_beam_factor: PositiveReal = 2.0  # beam multiplier when the first lattice is empty; above 1

    def __post_init__(self) -> None:
        """Translate former names of methods, refuse unknown ones."""
        msgspec.structs.force_setattr(self, "methods", current_methods(self.methods))


class ScoreConfig(Settings):
    """Error rates and their confidence intervals."""

    unit: Literal["word", "character", "unit"] = "word"  # of the headline rate: WER, CER or UER
    # Steps applied to references and hypotheses, in this order, before WER and CER are computed;
    # none by default: the corpus's own transcripts are the reference
    normalise: Tuple[Literal["nfkc", "lower", "strip-punctuation", "digits"], ...] = ()
    bootstrap_samples: Positive = 10000  # draws for the confidence intervals
    confidence: Fraction = 0.95  # of the intervals, as papers report them


class SynthesisConfig(Settings):
    """A residual network that speaks: stages align and synthesise, in recipes whose run.sh declares them."""

    dim: Positive = 128
    unit_blocks: Positive = 3  # residual blocks over units
    frame_blocks: Positive = 4  # residual blocks over frames of 10 ms
    kernel: Positive = 5  # units or frames
    dropout: DropRate = 0.1
    epochs: Positive = 5
    batch_duration: PositiveReal = 30.0  # seconds of speech per step
    learning_rate: PositiveReal = 4e-3  # the peak, after warm-up; then half a cosine
    warmup_steps: NotNegative = 50
    weight_decay: NotNegativeReal = 0.01
    seed: Seed = 1
    sentences: Positive = 200  # of each test set, spoken and recognised as a check


class RecipeConfig(Settings):
    """A whole recipe."""

    name: str
    corpus: CorpusConfig
    signal: SignalConfig = SignalConfig()
    features: FeaturesConfig = FeaturesConfig()
    units: UnitsConfig = UnitsConfig()
    lm: LmConfig = LmConfig()
    graph: GraphConfig = GraphConfig()
    model: ModelConfig = ModelConfig()
    # At most one transform of each kind; [] switches augmentation off
    augment: Tuple[Augmentation, ...] = DEFAULT_AUGMENT
    train: TrainConfig = TrainConfig()
    average: AverageConfig = AverageConfig()
    decode: DecodeConfig = DecodeConfig()
    score: ScoreConfig = ScoreConfig()
    synthesis: SynthesisConfig = SynthesisConfig()

    def __post_init__(self) -> None:
        """Sort transforms into the order of application, whatever their order in recipe.yaml."""
        order = get_args(Augmentation)
        ordered = tuple(sorted(self.augment, key=lambda transform: order.index(type(transform))))
        msgspec.structs.force_setattr(self, "augment", ordered)
