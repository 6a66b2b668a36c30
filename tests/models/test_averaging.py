"""The running average of the weights against its recursion."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from models.finetune.averaging import WeightAverage, decay_at


def test_the_memory_of_the_average_grows_to_its_limit() -> None:
    shares = [decay_at(step, 0.99) for step in range(2000)]
    assert shares[0] == pytest.approx(0.1)
    assert all(late >= early for early, late in pairwise(shares))
    assert shares[-1] == 0.99


def test_the_average_is_the_recursion_over_all_steps() -> None:
    task, weights = nn.Linear(2, 1, bias=False), torch.rand(30, 1, 2, dtype=torch.float64)
    average, due = WeightAverage(0.5), weights[0]
    for step, now in enumerate(weights):
        with torch.no_grad():
            task.weight.copy_(now)
        trainer: Any = SimpleNamespace(global_step=step + 1)
        for _ in range(2):  # batches that are gathered into one step count once
            average.on_train_batch_end(trainer, task, None, None, 0)  # type: ignore[arg-type]
        if step:  # the n-th update, n = step - 1 of the sum that began with the first weights
            share = min(0.5, (1 + step) / (10 + step))
            due = share * due + (1 - share) * now
    torch.testing.assert_close(average.average["weight"].double(), due, rtol=1e-6, atol=0)
