"""Two classifiers on the same pictures: whether one is better than chance makes it.

Pictures that both get right, or both wrong, tell nothing. Were both equally good, either would be right on each of the
others with probability one half, so the number that one of them has right is binomial.

Source:
    McNemar (1947), Note on the sampling error of the difference between correlated proportions; the exact form.
"""

from typing import Literal


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
