"""Where an utterance ends in a stream: the rules that sherpa-onnx has, with its seconds."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class EndpointRules:
    """When an utterance has ended, in seconds; math.inf switches a rule off."""

    silence: float = 2.4  # without any word
    silence_after_words: float = 1.2
    longest: float = 20.0  # however much is said

    def is_end(self, seconds: float, trailing_silence: float, has_words: bool) -> bool:
        """Whether it has, after `seconds` of which the last `trailing_silence` have no word."""
        least = self.silence_after_words if has_words else self.silence
        return trailing_silence >= least or seconds >= self.longest


SHERPA_ONNX = EndpointRules()
