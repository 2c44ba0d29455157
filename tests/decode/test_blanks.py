import pytest
import torch

from asrkit.decode.blanks import skip_blanks


def test_one_frame_of_each_run_of_blanks_stays_and_carries_the_scores_of_the_others() -> None:
    certain, other = [0.999, 0.0005, 0.0005], [0.2, 0.7, 0.1]
    rows = [certain, certain, other, certain, certain, certain, other]
    log_probs = torch.tensor(rows).log()
    shorter = skip_blanks(log_probs, 0.99)
    assert len(shorter) == 4
    # All-blank and "unit 1, blank, unit 1" keep their scores.
    assert float(shorter[:, 0].sum()) == pytest.approx(float(log_probs[:, 0].sum()), abs=1e-6)
    whole = log_probs[[2, 6], 1].sum() + log_probs[[0, 1, 3, 4, 5], 0].sum()
    assert float(shorter[[1, 3], 1].sum() + shorter[[0, 2], 0].sum()) == pytest.approx(float(whole), abs=1e-6)
    assert torch.equal(skip_blanks(log_probs, None), log_probs)
