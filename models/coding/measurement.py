"""What needs the trained network once more after the test: pictures it must not know, and pictures with noise.

Letters: N pictures, M examples.
"""

from typing import Any

import torch
from torch import Tensor

from models.coding.reference import MOST_VALUES
from models.coding.results import TWINS, Denoised, Result, gaussian_twins, squared_errors
from theory.denoising import optimal_denoiser
from theory.seeds import mix_seed

BATCH = 500
EXAMPLES = 8


@torch.no_grad()
def restore(task: Any, pictures: Tensor) -> Tensor:
    """What the network makes of pictures, in evaluation and in batches. Args: float, (N, C, H, W). Returns: float64."""
    training = task.training
    task.eval()
    restored = torch.cat([task(part.to(task.device)).cpu().double() for part in pictures.split(BATCH)])
    task.train(training)
    return restored


def complete(task: Any, result: Result) -> None:
    """Measures what the test left open: Gaussian twins and, for a run with noise, noisy pictures."""
    if len(result.reference.basis.eigenvalues):  # not for one picture, or the same one many times
        result.twins = gaussian_twins(result.reference, min(TWINS, len(result.images)))
        result.twin_errors = squared_errors(restore(task, result.twins), result.twins.double())
    if task.hparams["noise"]:
        result.denoised = denoise(task, result, task.hparams["noise"])
    result.complete = True


def denoise(task: Any, result: Result, noise: float) -> Denoised | None:
    """Restores noisy test pictures by the network and by the best linear filter of the training pictures.

    Args:
        task: Calls the network.
        result: Holds the test pictures and the principal components.
        noise: σ, positive.

    Returns:
        Errors and examples; None for pictures whose covariance would not fit into memory.
    """
    size = result.images[0].numel()
    if size > MOST_VALUES:
        return None
    generator = torch.Generator().manual_seed(mix_seed(1, len(result.images)))
    clean = result.pictures
    noisy = clean + noise * torch.randn(clean.shape, generator=generator).double()
    restored = restore(task, noisy.float())
    mean, covariance = result.reference.moments
    filtered = (noisy.flatten(1) - mean) @ optimal_denoiser(covariance, noise).T + mean
    filtered = filtered.view(clean.shape)
    some = slice(0, EXAMPLES)
    examples = (clean[some], noisy[some], restored[some], filtered[some])
    return Denoised(noise, squared_errors(restored, clean), squared_errors(filtered, clean), examples)
