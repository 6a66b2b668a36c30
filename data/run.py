"""What a data module asks of the run it serves: where it computes, and its seed."""

import os

import torch
from lightning.pytorch import LightningDataModule


def run_device(data: LightningDataModule) -> torch.device:
    """The device of the run; the CPU outside of one."""
    return data.trainer.strategy.root_device if data.trainer is not None else torch.device("cpu")


def order_seed(given: int | None) -> int:
    """The seed of the order: the one given, else the run's, which Lightning leaves in the environment; else 0."""
    return given if given is not None else int(os.environ.get("PL_GLOBAL_SEED", 0))
