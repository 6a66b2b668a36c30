"""How sure a mean is whose samples were drawn a fixed number from each group.

The groups' own means differ, but not from one draw of the samples to the next: with n_k samples of deviation s_k from
group k, N in all, the standard error of the mean of all is

    √(Σ n_k s_k²) / N

and the deviation of all samples together over √N, which counts the differences between groups too, is too large.

Source:
    Neyman (1934), On the two different aspects of the representative method; Cochran (1977), Sampling techniques, 5.4.
"""

# N samples, K groups

from __future__ import annotations

import math

from torch import Tensor


def stratified_mean(values: Tensor, group: Tensor, groups: int) -> tuple[float, float]:
    """Mean and its standard error, NaN where a group has a single sample.

    Args:
        values: Shape (N,).
        group: Number of the group of each, 0 to K - 1, shape (N,).
        groups: K.
    """
    parts = [values[group == place] for place in range(groups)]
    squares = [len(part) * float(part.var()) if len(part) > 1 else math.nan for part in parts if len(part)]
    return float(values.mean()), math.sqrt(sum(squares)) / len(values)
