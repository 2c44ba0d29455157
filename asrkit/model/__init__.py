"""The acoustic model: residual convolutions, self-attention, a linear layer."""
