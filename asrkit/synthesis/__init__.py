"""Speech from text: durations by forced alignment, a residual network, Griffin-Lim."""
