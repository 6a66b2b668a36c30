"""Several opinions on one question: what their mean gains is exactly how much they disagree.

Let G networks answer with logits z_g, hence probabilities p_g = softmax(z_g), and let p̄ = softmax(mean_g z_g) be that
of their mean. Its loss is never above their mean loss, since cross-entropy is convex in the logits; the difference is

    mean_g (-log p_g[y]) - (-log p̄[y])  =  mean_g KL(p̄ ‖ p_g)  ≥ 0,

picture by picture, whatever the right class y is. Networks that agree gain nothing by being many.

Symbols: G networks, N pictures, K classes.

Sources:
    Krogh, Vedelsby (1995), Neural network ensembles, cross validation, and active learning (for squared errors).
    Heskes (1998), Selecting weighting factors in logarithmic opinion pools (for probabilities).
"""

from __future__ import annotations

from torch import Tensor


def disagreement(opinions: Tensor) -> Tensor:
    """mean_g KL(p̄ ‖ p_g) of each picture.

    Args:
        opinions: Logits, shape (G, N, K).

    Returns:
        Nats, not negative but for rounding, shape (N,).
    """
    logs = opinions.log_softmax(-1).mean(0)  # (N, K)
    together = opinions.mean(0).log_softmax(-1)  # (N, K)
    return (together.exp() * (together - logs)).sum(-1)
