"""Figures of an autoencoder's run, and its codes in the projector; drawn in `dashboard.coding`.

Letters: N pictures, K size of the code, M numbers stored.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dashboard.bands import shown_bands
from models.coding.results import Result
from theory.compression import cosine_errors_fixed, cosine_errors_largest, psnr, rank_errors
from theory.denoising import score_of_denoiser
from theory.linear_autoencoder import alternation_rate
from theory.principal import decode, encode, principal, projection_errors, scaled

SHOWN = 10
MOST_POINTS = 1_000  # the projector page takes seconds to load more
MOST_COMPRESSED = 2_000
MOST_VALUES = 4096  # of a picture; the curves need every cosine of every picture
THUMBNAIL = 32


def autoencoder_figures(task: Any, result: Result) -> Iterator[tuple[str, Any]]:
    """Name and figure of everything worth drawing.

    Args:
        task: Has ``model``, ``device``, ``history`` and ``hparams``.
        result: What the run found.
    """
    from dashboard import coding, compression

    basis, shape = result.reference.basis, result.images.shape[1:]
    chosen = representatives(result.labels)
    beside = decode(encode(result.images[chosen], basis, result.k), basis).view(-1, *shape)
    rows = [("picture", result.pictures[chosen], None), ("ours", result.restored[chosen], result.errors[chosen])]
    rows.append(("PCA", beside, result.pca_errors[chosen]))
    means = float(result.errors.mean()), float(result.pca_errors.mean())
    yield "reconstructions", coding.reconstructions_figure([(n, *arrays(p, e)) for n, p, e in rows], *means, result.k)
    if len(basis.eigenvalues):
        count = min(24, len(basis.eigenvalues))
        pictures = basis.directions[:, :count].T.reshape(count, *shape)
        shares = (basis.eigenvalues[:count] / basis.eigenvalues.sum()).tolist()
        yield "eigenpictures", coding.eigenpictures_figure(pictures.numpy(), shares, len(basis.eigenvalues))
    if len(chosen) > 1:
        yield "interpolation", coding.interpolation_figure(*interpolations(task, result, chosen))
    yield "code_map", code_map(result)
    if result.anomalies:
        pca_twins = projection_errors(result.twins, basis, result.k)
        pairs = {"code": (result.errors, result.twin_errors), "pca": (result.pca_errors, pca_twins)}
        areas = result.anomalies
        drawn = {name: (real.numpy(), twin.numpy(), areas[name]) for name, (real, twin) in pairs.items()}
        yield "anomalies", compression.anomalies_figure(drawn, result.k)
    if result.images[0].numel() <= MOST_VALUES:
        curves, points = compression_curves(result)
        yield "compression", compression.compression_figure(curves, points)
    if result.denoised is not None:
        clean, noisy, restored, filtered = result.denoised.examples
        score = score_of_denoiser(restored, noisy, result.denoised.noise)
        shown = {"clean": clean, "noisy": noisy, "network": restored, "Wiener": filtered, "score": score}
        yield (
            "denoising",
            coding.denoising_figure(
                {name: part.numpy() for name, part in shown.items()},
                result.denoised.noise,
                float(result.denoised.error.mean()),
                float(result.denoised.wiener.mean()),
            ),
        )
    if len(task.history) > 1:
        rate = alternation_rate(result.reference.basis.eigenvalues, result.k, task.hparams["noise"])
        steps, gaps = zip(*task.history, strict=True)
        polish_from = (1 - task.hparams["polish"]) * (steps[-1] + task.hparams["iterations"])
        yield "convergence", compression.convergence_figure(steps, gaps, rate, polish_from)


def arrays(pictures: Tensor, errors: Tensor | None) -> tuple[Any, Any]:
    """As numpy, pictures cut to 0..1, which a projection leaves a little."""
    return pictures.double().clamp(0, 1).numpy(), None if errors is None else errors.numpy()


def representatives(labels: Tensor) -> Tensor:
    """Numbers of at most ten pictures, of as many classes as there are, in the order of the classes."""
    rank = torch.zeros_like(labels)
    for label in labels.unique():
        members = (labels == label).nonzero()[:, 0]
        rank[members] = torch.arange(len(members))
    chosen = torch.argsort(rank, stable=True)[:SHOWN]
    return chosen[torch.argsort(labels[chosen], stable=True)]


@torch.no_grad()
def interpolations(task: Any, result: Result, chosen: Tensor, steps: int = 9) -> tuple[Any, Any]:
    """From one picture to another in equal steps, in the code and in PCA's: two arrays (P, steps, C, H, W)."""
    basis, shape = result.reference.basis, result.images.shape[1:]
    pairs = torch.stack([chosen[0 : len(chosen) // 2 * 2 : 2], chosen[1::2][: len(chosen) // 2]], 1)[:3]  # (P, 2)
    along = torch.linspace(0, 1, steps)[:, None]
    ours, theirs = [], []
    for begin, end in pairs.tolist():
        path = result.codes[begin] + along.to(result.codes.dtype) * (result.codes[end] - result.codes[begin])
        ours.append(task.model.eval().decode(path.to(task.device)).cpu().double())
        ends = encode(result.images[[begin, end]], basis, result.k)
        theirs.append(decode(ends[0] + along.double() * (ends[1] - ends[0]), basis).view(steps, *shape))
    return torch.stack(ours).clamp(0, 1).numpy(), torch.stack(theirs).clamp(0, 1).numpy()


def code_map(result: Result) -> Any:
    """The codes in the plane of their largest variance, or codes of one number as they are."""
    from dashboard import coding

    part = slice(None, None, math.ceil(len(result.labels) / MOST_POINTS))
    labels = result.labels[part].numpy()
    if result.k == 1:
        return coding.code_map_figure(result.codes[part].numpy(), labels, result.class_names, 1.0, result.clusters)
    basis = principal(result.codes[part])
    plane = encode(result.codes[part], basis, 2)
    plane = F.pad(plane, (0, 2 - plane.shape[1]))  # codes that have collapsed may all lie on a line
    share = float(basis.eigenvalues[:2].sum() / basis.eigenvalues.sum().clamp_min(1e-300))
    return coding.code_map_figure(plane.numpy(), labels, result.class_names, share, result.clusters)


def compression_curves(result: Result) -> tuple[dict[str, tuple[Any, Any]], dict[str, tuple[float, float]]]:
    """PSNR in decibels over numbers stored per picture: curves of four methods, and the autoencoder's point."""
    test, train = result.pictures[:MOST_COMPRESSED], result.reference.train
    train = scaled(train[:: math.ceil(len(train) / MOST_COMPRESSED)]).view(-1, *test.shape[1:])
    channels, height, width = test.shape[1:]
    pixels = channels * height * width
    basis = result.reference.basis
    kept = encode(test, basis, pixels).square().mean(0)
    total = float((test.flatten(1) - basis.mean).square().sum(1).mean())
    pca = total - torch.cat([kept.new_zeros(1), kept.cumsum(0)])
    cosines, largest, ranks = cosine_errors_fixed(train, test), cosine_errors_largest(test), rank_errors(test)
    stored = {
        "PCA": (1, pca),
        "DCT, the same k for all": (1, cosines),
        "DCT, largest k and their places": (2, largest),
        "truncated SVD of each picture": (channels * (height + width), ranks),
    }
    curves = {}
    for name, (price, errors) in stored.items():
        numbers = price * torch.arange(len(errors))
        seen = (numbers > 0) & (numbers <= pixels) & (errors > 1e-9 * total)
        decibels = [psnr(error, pixels) for error in errors[seen].tolist()]
        curves[name] = (numbers[seen].numpy(), decibels)
    error = float(result.errors[:MOST_COMPRESSED].mean())
    return curves, {"autoencoder": (result.k, psnr(error, pixels))} if error > 0 else {}


def show_codes(writer: Any, step: int, result: Result) -> None:
    """Codes with thumbnails for the projector, evenly taken."""
    part = slice(None, None, math.ceil(len(result.labels) / MOST_POINTS))
    thumbnails = F.interpolate(shown_bands(result.pictures[part]).float(), size=(THUMBNAIL, THUMBNAIL), mode="area")
    pairs = zip(result.labels[part].tolist(), result.errors[part].tolist(), strict=True)
    names = [[result.class_names[label], f"{error:.3g}"] for label, error in pairs]
    writer.add_embedding(
        result.codes[part].float(), metadata=names, label_img=thumbnails.expand(-1, 3, -1, -1), global_step=step,
        tag="code", metadata_header=["class", "squared error"],
    )  # fmt: skip
