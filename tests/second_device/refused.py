"""``python -m tests.second_device.refused LIBRARY``: prints what the device says of operations that a GPU refuses."""

import sys
from pathlib import Path

import torch

from tests.second_device.program import NAME, installed

if __name__ == "__main__":
    installed(Path(sys.argv[1]))
    x = torch.arange(6.0, device=NAME).view(2, 3)
    assert (x * torch.tensor(2.0))[torch.tensor([1])].tolist() == [[6.0, 8.0, 10.0]], "a number and indices are allowed"
    for wrong in (
        lambda: x + torch.ones(3),
        lambda: x @ torch.ones(3, 1),
        lambda: torch.cat([x, torch.ones(1, 3)]),
        lambda: torch.nn.functional.conv1d(x[None], torch.ones(1, 2, 1)),
        lambda: torch.rand(3, device=NAME, generator=torch.Generator()),
        lambda: x.numpy(),
    ):
        try:
            wrong()
        except (RuntimeError, TypeError) as error:
            print(str(error).splitlines()[0])
