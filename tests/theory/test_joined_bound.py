"""What the proof of the bound leaves out never lies below what it keeps."""

import numpy as np
import pytest

from theory.joined_bound import _Parabolas, thinned

# P parabolas, T cells, H heights.


@pytest.mark.parametrize("tolerance", [1e-9, 0.05, 0.5])
def test_the_least_of_the_kept_parabolas_is_nowhere_above_the_least_of_all(tolerance: float) -> None:
    """Also where many are left out, because another is lower by less than a large tolerance."""
    heights = np.linspace(-4, 4, 2001)
    left_out = 0
    for seed in range(20):
        draw = np.random.default_rng(seed)
        cell = np.sort(draw.integers(0, 3, 60))
        lines = _Parabolas(cell, draw.uniform(0.2, 2, 60), draw.normal(0, 2, 60), draw.normal(0, 1, 60))
        most = np.full(3, 1.5)
        kept, looked = thinned(lines, most, tolerance)
        assert looked > 0
        left_out += 60 - len(kept.cell)
        for number in range(3):
            least, found = (
                (parts.a[:, None] * heights**2 + parts.b[:, None] * heights + parts.c[:, None]).min(0)
                for parts in (lines.of(lines.cell == number), kept.of(kept.cell == number))
            )
            matters = least <= most[number]
            assert matters.any()
            assert (found[matters] <= least[matters] + 1e-12).all()
            assert (found[matters] >= least[matters] - tolerance - 1e-12).all(), (
                "and it is lowered by no more than that"
            )
    assert left_out > 100
