"""A surface by a network beside what linear algebra makes of it with as many numbers.

How numbers are counted. A network has its weights and biases. A truncated SVD of rank k has k (H + W). Of a cosine
series either the k terms of lowest frequency are kept, known beforehand: k numbers; or the k largest: the picture
chooses them, so that each is two numbers, its value and its place. The best of these three is what a network is
compared with. The largest terms with their places given for nothing are shown too: that is no way to store a picture.

A number must not hide several: the network is measured once more with all its numbers rounded to 16 bits.
"""

# W widths, S seeds, n pixels a side

from __future__ import annotations

import torch
from torch import Tensor

from models.approximation.family import count_numbers
from models.approximation.searches import Searches
from theory.compression import cosine_errors_largest, cosine_errors_lowest, psnr, rank_errors

LEAST = 1e-30  # squared error that counts as none


def beside_linear_methods(
    searches: Searches, x: Tensor, values: Tensor, chosen: Tensor, best: list[int]
) -> tuple[list[tuple[str, str]], dict[str, float]]:
    """Peak signal-to-noise ratio of each network and of linear methods with no more numbers.

    Args:
        searches: The networks.
        x: Middles of the cells of an n × n grid, shape (n², 2).
        values: The surface there, shape (n²,).
        chosen: The networks' values there, shape (W, n²).
        best: Seed of each width's network.

    Returns:
        Lines for people, and tags.
    """
    side = round(len(values) ** 0.5)
    spread = float(values.max() - values.min()) or 1.0
    picture = ((values - values.min()) / spread).view(1, 1, side, side)
    ranks, lowest, largest = (f(picture).tolist() for f in (rank_errors, cosine_errors_lowest, cosine_errors_largest))

    def quality(errors: list[float], count: int) -> float:
        return psnr(max(errors[min(count, len(errors) - 1)], LEAST), side * side)

    def measured(found: Tensor) -> float:
        return psnr(max(float(((found - values) / spread).square().sum()), LEAST), side * side)

    halved = rounded(searches, x)
    lines: list[tuple[str, str]] = []
    tags: dict[str, float] = {}
    for place, width in enumerate(searches.widths):
        numbers = count_numbers(width, 2, searches.depth)
        ours = measured(chosen[place])
        due = {
            "svd": quality(ranks, numbers // (2 * side)),
            "dct": quality(largest, numbers // 2),
            "dct_lowest": quality(lowest, numbers),
        }
        free = quality(largest, numbers)
        gap = ours - max(due.values())
        tags |= {f"test/psnr_{width}": ours, f"gap/psnr_{width}": gap, f"theory/psnr_dct_free_places_{width}": free}
        tags |= {f"theory/psnr_{name}_{width}": value for name, value in due.items()}
        text = (
            f"network {ours:.2f} dB, {gap:+.2f} dB beside the best of truncated SVD {due['svd']:.2f}, largest cosines "
            f"and their places {due['dct']:.2f}, lowest cosines {due['dct_lowest']:.2f} (were places free: {free:.2f})"
        )
        if halved is not None:
            tags[f"test/psnr_half_{width}"] = measured(halved[place, best[place]])
            text += f"; in 16 bits a number {tags[f'test/psnr_half_{width}']:.2f}"
        lines.append((f"{numbers:,} numbers", text))
    return lines, tags


def rounded(searches: Searches, x: Tensor) -> Tensor | None:
    """Values at x of networks by variable projection, their numbers rounded to 16 bits, shape (W, S, M), or None."""
    if searches.newton is None:
        return None
    families = searches.newton.families()
    with torch.no_grad():
        return torch.stack([family.evaluate(family.rows.half().to(family.rows.dtype), x) for family in families])
