"""Attacks on a classifier of pictures: FGSM, PGD, and one pixel by differential evolution and by exhaustive search.

    FGSM   x' = x + ε sign(∂loss/∂x)
    PGD    x ← clip_ε(x + α sign(∂loss/∂x)), from a random start, repeated
    DE     children a + F (b - c) of three parents (row, column, value); a child replaces its place if it is no worse

A success of an attack is a proof; its failure is none. Only the exhaustive search says that nothing was there to find.

Sources:
    Goodfellow, Shlens, Szegedy (2015); Madry, Makelov, Schmidt, Tsipras, Vladu (2018), Towards deep learning models
    resistant to adversarial attacks, section 2.1; Su, Vargas, Sakurai (2019), section III; Storn, Price (1997).
"""

# N pictures, P population, V values of a pixel, D pixels = H W

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from theory.adversarial import margins

Classifier = Callable[[Tensor], Tensor]  # pixels in 0..1, shape (N, 1, H, W), to logits (N, K)
DIFFERENTIAL_WEIGHT = 0.5  # F, as in Su et al.
BATCH = 1024  # pictures classified at once


def loss_gradient(classify: Classifier, images: Tensor, labels: Tensor) -> Tensor:
    """∂loss/∂x of each picture, the shape of ``images``; also inside Lightning's evaluation, which switches it off."""
    found = []
    with torch.inference_mode(False), torch.enable_grad():
        for part, classes in zip(images.clone().split(BATCH), labels.clone().split(BATCH), strict=True):
            x = part.requires_grad_()
            loss = F.cross_entropy(classify(x), classes, reduction="sum")
            found.append(torch.autograd.grad(loss, x)[0])
    return torch.cat(found)


def fgsm(classify: Classifier, images: Tensor, labels: Tensor, epsilon: float, high: float = 1.0) -> Tensor:
    """One step of size ε along the sign of the gradient, kept in [0, high].

    Args:
        classify: Gives logits.
        images: Pixels in 0..high, shape (N, 1, H, W).
        labels: True classes, shape (N,).
        epsilon: Largest change of a pixel.
        high: Largest value of a pixel.
    """
    return (images + epsilon * loss_gradient(classify, images, labels).sign()).clamp(0, high)


def pgd(
    classify: Classifier,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    high: float = 1.0,
    steps: int = 20,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Steps of 2.5 ε / steps along the sign of the gradient, projected onto the ε-box, from a random point of it."""
    start = (torch.rand(images.shape, generator=generator).to(images.device) * 2 - 1) * epsilon
    low, top = (images - epsilon).clamp(0, high), (images + epsilon).clamp(0, high)
    x = (images + start).clamp(0, high)
    for _ in range(steps):
        x = x + 2.5 * epsilon / steps * loss_gradient(classify, x, labels).sign()
        x = torch.minimum(torch.maximum(x, low), top)
    return x


class OnePixel(NamedTuple):
    """The best change of one pixel found for each picture.

    Attributes:
        margin: Margin after the change, shape (N,); the picture is fooled where it is not above 0.
        place: Pixel, counted row by row, shape (N,).
        value: New value of the pixel, shape (N,).
    """

    margin: Tensor
    place: Tensor
    value: Tensor

    @property
    def fooled(self) -> Tensor:
        """Where the change makes another class at least as likely, shape (N,)."""
        return self.margin <= 0

    def apply(self, images: Tensor) -> Tensor:
        """The changed pictures, shape (N, 1, H, W)."""
        return changed(images, self.place[:, None], self.value[:, None])[:, 0]


def no_pictures(images: Tensor) -> OnePixel:
    """What a search finds where there are no pictures. Args: images (0, 1, H, W)."""
    return OnePixel(images.new_zeros(0), torch.zeros(0, dtype=torch.int64, device=images.device), images.new_zeros(0))


def changed(images: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """Copies with one pixel replaced, shape (N, M, 1, H, W). Args: images (N, 1, H, W); places, values (N, M)."""
    copies = images.flatten(1)[:, None].expand(-1, places.shape[1], -1).clone()  # (N, M, D)
    copies.scatter_(2, places[:, :, None], values[:, :, None].to(copies.dtype))
    return copies.unflatten(2, images.shape[1:])


@torch.no_grad()
def changed_margins(
    classify: Classifier, images: Tensor, labels: Tensor, places: Tensor, values: Tensor, batch: int = BATCH
) -> Tensor:
    """Margins after each change, shape (N, M). Args: as of `changed`; batch, pictures classified at once."""
    per = max(1, batch // places.shape[1])
    rows = []
    for first in range(0, len(images), per):
        part = slice(first, first + per)
        copies = changed(images[part], places[part], values[part])
        found = [classify(piece) for piece in copies.flatten(0, 1).split(batch)]
        rows.append(
            margins(torch.cat(found), labels[part].repeat_interleave(places.shape[1])).view(-1, places.shape[1])
        )
    return torch.cat(rows)


def exhaustive_one_pixel(classify: Classifier, images: Tensor, labels: Tensor, values: Tensor) -> OnePixel:
    """Tries every value at every pixel: no one-pixel change with these values does more.

    Args:
        classify: Gives logits.
        images: Pixels in 0..1, shape (N, 1, H, W).
        labels: True classes, shape (N,).
        values: Values tried, shape (V,); all that a pixel can hold, or only its extremes.
    """
    if not len(images):
        return no_pictures(images)
    size = images[0].numel()
    place = torch.arange(size, device=images.device).repeat_interleave(len(values))  # (D V,)
    value = values.to(images.device).repeat(size)
    best = []
    for image, label in zip(images, labels, strict=True):
        found = changed_margins(classify, image[None], label[None], place[None], value[None])[0]
        least = found.argmin()
        best.append(torch.stack([found[least], place[least].to(found.dtype), value[least].to(found.dtype)]))
    table = torch.stack(best)
    return OnePixel(table[:, 0], table[:, 1].long(), table[:, 2])


def evolve_one_pixel(
    classify: Classifier,
    images: Tensor,
    labels: Tensor,
    values: Tensor,
    population: int = 50,
    generations: int = 15,
    generator: torch.Generator | None = None,
) -> OnePixel:
    """Differential evolution over (pixel's row, column, value): a lower bound of what the exhaustive search finds.

    Args:
        classify: Gives logits.
        images: Pixels in 0..1, shape (N, 1, H, W).
        labels: True classes, shape (N,).
        values: Values a pixel can hold, increasing, shape (V,).
        population: P, candidates of each picture, at least 4.
        generations: Rounds after the first.
        generator: Draws everything random.
    """
    if not len(images):
        return no_pictures(images)
    height, width = images.shape[-2:]
    count = len(images)
    sizes = torch.tensor([height, width, len(values)], dtype=torch.float32)

    def decode(genes: Tensor) -> tuple[Tensor, Tensor]:
        row, column, level = (genes * sizes).long().clamp_min(0).minimum(sizes.long() - 1).unbind(2)
        return (row * width + column).to(images.device), values[level].to(images.device)

    genes = torch.rand(count, population, 3, generator=generator)
    score = changed_margins(classify, images, labels, *decode(genes))
    for _ in range(generations):
        parents = torch.rand(count, population, population, generator=generator).argsort(2)[:, :, :3]  # three different
        a, b, c = (genes.gather(1, parents[:, :, k : k + 1].expand(-1, -1, 3)) for k in range(3))
        children = (a + DIFFERENTIAL_WEIGHT * (b - c)).clamp(0, 1)
        fresh = changed_margins(classify, images, labels, *decode(children))
        better = fresh <= score
        score = torch.where(better, fresh, score)
        genes = torch.where(better.cpu()[:, :, None], children, genes)
    least = score.argmin(1)
    place, value = decode(genes)
    rows = torch.arange(count, device=images.device)
    return OnePixel(score[rows, least], place[rows, least], value[rows, least].to(score.dtype))
