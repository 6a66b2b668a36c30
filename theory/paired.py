"""Two things compared on the same occasions: two classifiers picture by picture, two settings seed by seed.

Of two classifiers, pictures that both get right, or both wrong, tell nothing. Were both equally good, either would be
right on each of the others with probability one half, so the number that one of them has right is binomial.

Of figures in pairs, with differences of mean d̄ and sample deviation s over n pairs, the true difference δ makes
(d̄ - δ) √n / s follow Student's distribution with n - 1 degrees of freedom, if the differences are normal.

Sources:
    McNemar (1947), Note on the sampling error of the difference between correlated proportions; the exact form.
    Student (1908), The probable error of a mean, Biometrika 6(1).
"""

import math
from collections.abc import Sequence
from typing import Literal

from theory.intervals import Interval, summarise


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Student's interval for the mean, d̄ ± t s / √n.

    Args:
        values: Differences, one a pair; at least one.
        confidence: Share of such intervals that hold the true mean, in (0, 1).

    Returns:
        The ends; NaN for a single value, which has no deviation.
    """
    from scipy.stats import t

    mean, deviation, runs = summarise(values)
    reach = float(t.ppf((1 + confidence) / 2, runs - 1)) * deviation / math.sqrt(runs) if runs > 1 else math.nan
    return Interval(mean - reach, mean + reach)


def mcnemar(one: int, other: int, alternative: Literal["two-sided", "greater"] = "two-sided") -> float:
    """Probability, were both equally good, of numbers at least as far apart as these; the exact test.

    Args:
        one: Pictures that only the first gets right, from 0.
        other: Pictures that only the second gets right, from 0.
        alternative: Apart in either direction, or "greater": the first ahead.

    Returns:
        p-value in (0, 1]; 1 where they differ on no picture.
    """
    from scipy.stats import binomtest

    return float(binomtest(one, one + other, alternative=alternative).pvalue) if one + other else 1.0
