"""An LSTM language model."""

from torch import Tensor, nn

from asrkit.config import NeuralLmConfig
from asrkit.lm.causal import CausalLm
from asrkit.lm.tokeniser import Tokeniser


class LstmLm(CausalLm):
    """Recurrent layers, which read one token after the other."""

    def __init__(self, config: NeuralLmConfig, tokeniser: Tokeniser) -> None:
        super().__init__(config, tokeniser)
        between = config.dropout if config.layers != 1 else 0.0
        self.lstm = nn.LSTM(config.dim, config.dim, config.layers, batch_first=True, dropout=between)

    def read(self, x: Tensor) -> Tensor:
        """Embedded tokens (sentence, token, dim) to the same shape."""
        hidden: Tensor = self.lstm(x)[0]
        return hidden
