"""Online batch selection: probabilities, draws, weights, and what a resumed loader repeats."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from data.digits import Digits
from data.focus import FocusedLoader, inclusion_probabilities, systematic_sample
from data.images import Images


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def loader(size: int = 40, batch_size: int = 4, share: float = 0.3, seed: int = 0) -> FocusedLoader:
    values = torch.arange(size)
    return FocusedLoader(values[:, None, None, None].float(), values, batch_size, share=share, seed=seed)


def an_epoch(loader: FocusedLoader, epoch: int, hard: range) -> list[Tensor]:
    """The batches of an epoch, after each of which the loader learns that only ``hard`` were hard."""
    loader.sampler.set_epoch(epoch)
    seen = []
    for _, labels in loader:
        seen.append(labels)
        loader.learn(torch.tensor([0.9 if label in hard else 0.01 for label in labels.tolist()]))
    return seen


@given(st.lists(st.floats(1e-6, 2.0), min_size=2, max_size=60), st.floats(0.05, 0.95), st.floats(0.1, 0.9))
def test_probabilities_have_the_sum_asked_and_grow_with_hardness(h: list[float], share: float, part: float) -> None:
    hardness = torch.tensor(h)
    size = max(1, round(share * len(h)))
    least = part * size / len(h)
    p = inclusion_probabilities(hardness, size, least)
    assert float(p.sum()) == pytest.approx(size, rel=1e-9)
    assert float(p.min()) >= least
    assert float(p.max()) <= 1
    inside = (p > least * (1 + 1e-9)) & (p < 1 - 1e-9)
    ratios = p[inside] / hardness[inside].double()
    assert torch.allclose(ratios, ratios[:1].expand_as(ratios), rtol=1e-9), "between the ends p is proportional to h"
    assert bool((p[hardness.argsort()].diff() >= 0).all())


def test_a_draw_has_exactly_the_size_asked_and_each_picture_its_probability() -> None:
    p = inclusion_probabilities(torch.tensor([0.01, 0.01, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0]), 3, 0.1)
    draws = 4000
    counts = torch.zeros(8)
    for number in range(draws):
        chosen = systematic_sample(p, 3, generator(number))
        assert len(chosen) == len(set(chosen.tolist())) == 3
        counts[chosen] += 1
    deviation = (p * (1 - p) / draws).sqrt()
    assert bool(((counts / draws - p).abs() <= 4 * deviation + 1e-12).all())


def test_every_picture_is_seen_before_the_hard_ones_come_more_often() -> None:
    focused, hard = loader(), range(0, 8)
    first = torch.cat([torch.cat(an_epoch(focused, epoch, hard)) for epoch in range(5)])
    assert set(first.tolist()) == set(range(40))
    later = torch.cat([torch.cat(an_epoch(focused, epoch, hard)) for epoch in range(5, 45)])
    counts = torch.bincount(later, minlength=40).float()
    assert len(later) == 40 * 12
    assert counts[:8].min() == 40, "there is room for all hard ones in every epoch"
    assert counts[8:].min() > 0
    assert counts[8:].mean() == pytest.approx(40 * (12 - 8) / 32)


def test_weights_are_the_inverse_roots_of_the_probabilities_with_mean_1() -> None:
    focused, hard = loader(), range(0, 8)
    for epoch in range(8):
        an_epoch(focused, epoch, hard)
    p = inclusion_probabilities(focused.hardness, 12, 0.1)
    focused.sampler.set_epoch(8)
    labels, weights = zip(*((labels, focused.last_weights) for _, labels in focused), strict=True)
    products = torch.cat(weights).double() * p[torch.cat(labels)].sqrt()
    assert torch.allclose(products, products[:1].expand_as(products), rtol=1e-6)
    assert float(torch.cat(weights).mean()) == pytest.approx(1, abs=1e-6)
    assert float(torch.cat(weights).max()) > 1.5 * float(torch.cat(weights).min())


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_resumed_loader_draws_what_the_first_would_have(stop: int) -> None:
    def follow(focused: FocusedLoader, first: int, state_after: int | None = None) -> tuple[list[list[int]], object]:
        batches: list[list[int]] = []
        for epoch in range(first, 8):
            focused.sampler.set_epoch(epoch)
            for _, labels in focused:
                focused.learn(0.01 + labels / 80)
                batches.append([*labels.tolist(), *focused.last_weights.tolist()])
                if len(batches) == state_after:
                    return batches, focused.state_dict()
        return batches, None

    whole, _ = follow(loader(seed=7), 0)
    before, state = follow(loader(seed=7), 0, state_after=5 * 3 + stop)
    again = loader(seed=7)
    assert isinstance(state, dict)
    again.load_state_dict(state)
    after, _ = follow(again, 5 + stop // 3)
    assert before + after == whole


def test_what_a_state_holds_does_not_change_with_the_loader() -> None:
    focused = loader()
    an_epoch(focused, 0, range(3))
    state = focused.state_dict()
    kept = state["hardness"].clone()
    an_epoch(focused, 1, range(3, 9))
    assert torch.equal(state["hardness"], kept)


def test_only_one_process_can_know_what_is_hard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 0)
    with pytest.raises(ValueError, match=r"--data\.focus works in one process, here are 2"):
        loader()


def test_data_in_memory_offer_it_for_training_alone() -> None:
    data: Images = Digits(focus=0.25)
    assert isinstance(data.train_dataloader(), FocusedLoader)
    assert len(data.train_dataloader()) == math.ceil(0.25 * 1293 / 64)
    assert not isinstance(data.test_dataloader(), FocusedLoader)
    assert data.summary()["focus"] == "an epoch shows 0.25 of the training pictures, hard ones more often"
    with pytest.raises(ValueError, match="focus must be above 0 and at most 1, got 0"):
        Digits(focus=0)
