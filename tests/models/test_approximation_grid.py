"""The grid on which the first broken lines of a search are the best of all."""

from __future__ import annotations

import numpy as np

from models.approximation.search import IN_A_GAP, thinned


def test_a_grid_has_few_places_where_there_is_no_sample() -> None:
    grid = np.linspace(0, 1, 257)
    few = np.repeat(np.linspace(0, 1, 8), 30)  # 8 places, 30 samples at each
    places = thinned(grid, few)
    assert np.isin(places, grid).all()
    assert (places[0], places[-1]) == (0, 1)
    between = np.histogram(places[1:-1], np.unique(few))[0]
    assert between.tolist() == [IN_A_GAP] * 7
    assert np.diff(places).max() < 0.03  # evenly: a gap is 0.14 long
    assert np.array_equal(thinned(grid, np.linspace(0, 1, 40)), grid)
