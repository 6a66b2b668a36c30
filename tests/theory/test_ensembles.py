"""What the mean of several opinions gains, against the losses themselves and against scipy."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr, softmax
from torch.nn import functional as F

from theory.ensembles import disagreement


@given(seed=st.integers(0, 2**32), num=st.integers(1, 5), classes=st.integers(2, 12), size=st.floats(0.01, 30))
def test_the_gain_is_the_disagreement_whatever_the_right_class_is(
    seed: int, num: int, classes: int, size: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    opinions = size * torch.randn(num, classes, classes, generator=generator, dtype=torch.float64)  # (G, N = K, K)
    labels = torch.arange(classes)
    alone = torch.stack([F.cross_entropy(each, labels, reduction="none") for each in opinions]).mean(0)
    together = F.cross_entropy(opinions.mean(0), labels, reduction="none")
    found = disagreement(opinions)
    assert torch.allclose(alone - together, found, atol=1e-11 * (1 + size))
    assert (found >= -1e-12 * (1 + size)).all()
    for other in range(classes):  # any label gives the same gain
        wrong = torch.full_like(labels, other)
        gain = torch.stack([F.cross_entropy(each, wrong, reduction="none") for each in opinions]).mean(0)
        assert torch.allclose(gain - F.cross_entropy(opinions.mean(0), wrong, reduction="none"), found, atol=1e-9)


def test_it_is_the_mean_divergence_from_the_answer() -> None:
    opinions = torch.randn(4, 7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    answer = softmax(opinions.mean(0).numpy(), axis=-1)
    due = sum(rel_entr(answer, softmax(each.numpy(), axis=-1)).sum(-1) for each in opinions) / 4
    assert disagreement(opinions).numpy() == pytest.approx(due, rel=1e-12)


def test_who_agrees_gains_nothing() -> None:
    same = torch.randn(1, 6, 3, dtype=torch.float64).expand(4, 6, 3)
    assert disagreement(same).abs().max() < 1e-15
    shifted = same + torch.arange(4.0)[:, None, None]  # a constant added to all logits is no opinion
    assert disagreement(shifted).abs().max() < 1e-14
    assert disagreement(torch.tensor([[[2.0, 0.0]], [[0.0, 2.0]]])) > 0.4
