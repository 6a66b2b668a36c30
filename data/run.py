"""What a data module asks of the run it serves: where it computes, and its seed."""

import os

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

LARGEST_SHARE = 0.3  # of a device's free memory that one part may take: three parts leave a third to the network


def run_device(data: LightningDataModule) -> torch.device:
    """The device of the run; the CPU outside of one."""
    return data.trainer.strategy.root_device if data.trainer is not None else torch.device("cpu")


def order_seed(given: int | None) -> int:
    """The seed of the order: the one given, else the run's, which Lightning leaves in the environment; else 0."""
    return given if given is not None else int(os.environ.get("PL_GLOBAL_SEED", 0))


def free_memory(device: torch.device) -> int | None:
    """Bytes that a GPU has free; None for the CPU, where the pictures lie anyway, and where nobody says it."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None


def resident(pictures: Tensor, device: torch.device) -> Tensor:
    """Pictures on the device of the run if they leave room there, else where they are: each batch is moved then."""
    free = free_memory(device)
    return pictures.to(device) if free is None or pictures.nbytes <= LARGEST_SHARE * free else pictures
