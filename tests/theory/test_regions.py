"""Linear regions: identical to exact rational arithmetic, to Zaslavsky, to the line, and they fill the polygon."""

import doctest
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from theory.regions import bounds, chords, constructions, count
from theory.regions.count import count_regions, regions, square
from theory.regions.line import kinks, linear_pieces
from theory.regions.network import Layer, affine_maps, check_layers, on_slice, outputs, random_network
from theory.regions.planar_map import TooManyRegionsError

Polygon = list[tuple[Fraction, Fraction]]
Affine = tuple[Fraction, Fraction, Fraction]


def halves_by_fractions(polygon: Polygon, line: Affine) -> list[Polygon]:
    """Both sides of a line, in rational numbers: Sutherland and Hodgman's clipping, once for each side."""
    values = [line[0] * x + line[1] * y + line[2] for x, y in polygon]
    if min(values) >= 0 or max(values) <= 0:
        return [polygon]
    sides: list[Polygon] = []
    for sign in (1, -1):
        kept: Polygon = []
        for (p, v), (q, w) in zip(
            zip(polygon, values, strict=True),
            zip(polygon[1:] + polygon[:1], values[1:] + values[:1], strict=True),
            strict=True,
        ):
            if sign * v >= 0:
                kept.append(p)
            if v * w < 0:
                t = v / (v - w)
                kept.append((p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])))
        sides.append(kept)
    return sides


def count_by_fractions(layers: list[Layer], corners: np.ndarray) -> int:
    """Region by region, unit by unit, without rounding: an independent way to the same number."""
    one = Fraction(1)
    identity: list[Affine] = [(one, 0 * one, 0 * one), (0 * one, one, 0 * one)]
    cells: list[tuple[Polygon, list[Affine]]] = [([(Fraction(x), Fraction(y)) for x, y in corners.tolist()], identity)]
    for layer in layers:
        after = []
        for polygon, inputs in cells:
            maps = []
            for row, shift in zip(layer.weight.tolist(), layer.bias.tolist(), strict=True):
                terms = [[Fraction(w) * part for part in affine] for w, affine in zip(row, inputs, strict=True)]
                a, b, c = (sum(parts, start=Fraction(0)) for parts in zip(*terms, strict=True))
                maps.append((a, b, c + Fraction(shift)))
            parts = [polygon]
            for line in maps:
                parts = [half for part in parts for half in halves_by_fractions(part, line)]
            for part in parts:
                x, y = (sum(values) / len(part) for values in zip(*part, strict=True))
                gains = [Fraction(1) if a * x + b * y + c > 0 else Fraction(layer.slope) for a, b, c in maps]
                after.append((part, [(g * a, g * b, g * c) for g, (a, b, c) in zip(gains, maps, strict=True)]))
        cells = after
    return len(cells)


@pytest.mark.parametrize("slope", [0.0, 0.25])
@pytest.mark.parametrize("widths", [[7], [4, 4], [3, 5, 4], [2, 2, 2, 2]])
def test_the_count_is_that_of_rational_arithmetic(widths: list[int], slope: float) -> None:
    for seed in range(3):
        layers, corners = random_network(widths, seed, slope=slope), square(1.0)
        assert count_regions(layers, corners) == count_by_fractions(layers, corners)


@pytest.mark.parametrize("slope", [0.0, 0.25])
@pytest.mark.parametrize("widths", [[4], [2, 5], [6, 5], [2, 2, 2, 4]])
@pytest.mark.parametrize("centre", [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (3.0, 0.5)])  # 0 inside, a corner, on an edge
def test_without_biases_all_kinks_meet_at_0(widths: list[int], slope: float, centre: tuple[float, float]) -> None:
    layers = [Layer(weight, 0 * bias, slope) for weight, bias, _ in random_network(widths, 1)]
    corners = square(1.0, centre)
    due = count_by_fractions(layers, corners)
    assert count_regions(layers, corners) == due
    found = regions(layers, corners)
    assert len(found) == due
    assert found.areas().min() > 0
    assert found.areas().sum() == pytest.approx(4, rel=1e-12)


@pytest.mark.parametrize(
    ("weight", "bias", "due"),
    [
        ([[1, 0]], [-1], 1),  # along an edge, from either side
        ([[-1, 0]], [-1], 1),
        ([[-1, 0]], [1], 1),
        ([[1, 0], [0, 1], [-1, 0], [0, -1]], [1, 1, 1, 1], 1),
        ([[1, 1], [0, 1]], [-1, 0], 3),  # they meet on the boundary
        ([[1, 1], [1, -1]], [0, 0], 4),  # through the corners
        ([[1, 0.3], [1, 0.3], [-2, -0.6]], [0.125, 0.125, -0.25], 2),  # the same kink three times
        ([[1, 0], [0, 1], [1, 1], [1, -1]], [-0.5, -0.25, -0.75, -0.25], 8),  # all through one inner point
        ([[1, 0], [0, 1], [1, 1], [1, -1]], [-0.5, -0.25, -0.75, 0.25], 10),  # three of them
    ],
)
def test_kinks_that_meet_make_no_region_without_area(weight: list, bias: list, due: int) -> None:
    for sign in (1, -1):
        layers = [Layer(sign * np.array(weight, float), sign * np.array(bias, float), 0.0)]
        assert count_by_fractions(layers, square(1.0)) == due
        assert count_regions(layers, square(1.0)) == due
        assert len(regions(layers, square(1.0))) == due


def test_a_deep_network_of_small_whole_weights_is_counted_as_by_fractions() -> None:
    for seed in range(8):
        draw = np.random.default_rng(seed)
        shapes = [(4, 2), (3, 4), (3, 3)]
        layers = [
            Layer(draw.integers(-2, 3, shape).astype(float), draw.integers(-1, 2, shape[0]).astype(float), 0.0)
            for shape in shapes
        ]
        due = count_by_fractions(layers, square(2.0))
        assert count_regions(layers, square(2.0)) == len(regions(layers, square(2.0))) == due


def test_too_many_regions_of_kinks_that_meet_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [Layer(weight, 0 * bias, 0.0) for weight, bias, _ in random_network([20], 0)]
    with pytest.raises(TooManyRegionsError):
        count_regions(layers, square(1.0), limit=10)
    monkeypatch.setattr(count, "EXACT", 10)
    with pytest.raises(ValueError, match="kinks run through a corner or a crossing of others"):
        count_regions(layers, square(1.0))


def test_sampled_activation_patterns_are_found_and_only_them() -> None:
    # Every sampled point has the pattern of exactly one region, and regions of visible size are all sampled.
    layers, corners = random_network([12, 12], 5), square(1.0)
    axis = np.linspace(-1, 1, 1501)
    points = np.stack(np.meshgrid(axis, axis), 2).reshape(-1, 2)
    hidden, bits = points, []
    for layer in layers:
        hidden = hidden @ layer.weight.T + layer.bias
        bits.append(hidden > 0)
        hidden = np.maximum(hidden, 0)
    patterns = np.unique(np.packbits(np.concatenate(bits, 1), axis=1), axis=0)
    found = regions(layers, corners)
    wide_enough = found.areas() > 1e-4
    assert wide_enough.sum() <= len(patterns) <= len(found)


@pytest.mark.parametrize("units", [1, 2, 30, 100, 300])
def test_one_layer_has_what_zaslavsky_says(units: int) -> None:
    assert count_regions(random_network([units], 0), square(1e6)) == bounds.arrangement(units, 2)


@pytest.mark.parametrize(("units", "due"), [(100, 5051), (300, 45151)])
def test_zaslavsky_by_number(units: int, due: int) -> None:
    assert bounds.arrangement(units, 2) == due


@pytest.mark.parametrize("widths", [[20, 20], [50, 50, 50], [8] * 10, [100, 100]])
def test_polygons_are_as_many_and_fill_the_square(widths: list[int]) -> None:
    layers = random_network(widths, 1)
    found = regions(layers, square(1.0))
    assert len(found) == count_regions(layers, square(1.0))
    areas = found.areas()
    assert areas.min() > 0
    assert areas.sum() == pytest.approx(4, rel=1e-9)
    assert len(found.polygon(0)) >= 3


def test_on_a_region_the_network_is_its_affine_map() -> None:
    layers = [*random_network([15, 15], 2), Layer(np.ones((2, 15)), np.zeros(2), 1.0)]
    found = regions(layers, square(1.0))
    matrix, offset = affine_maps(layers, found.centres())
    region = np.repeat(np.arange(len(found)), np.diff(found.begins))
    due = outputs(check_layers(layers), found.corners)
    got = np.einsum("nod,nd->no", matrix[region], found.corners) + offset[region]
    assert np.abs(due - got).max() < 1e-10


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = random_network([30, 30, 30], 4)
    whole = count_regions(layers, square(1.0))
    monkeypatch.setattr(count, "VALUES", 1 << 11)
    monkeypatch.setattr(chords, "BLOCK", 100)
    assert count_regions(layers, square(1.0)) == whole
    found = regions(layers, square(1.0))
    assert len(found) == whole
    assert found.areas().sum() == pytest.approx(4, rel=1e-12)


def test_pieces_come_in_the_same_order_from_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = random_network([30, 30, 30], 5)
    monkeypatch.setattr(count, "VALUES", 1 << 11)
    found = []
    for threads in (1, 3):
        with threadpool_limits(threads, "blas"):
            found.append(regions(layers, square(1.0)))
    assert len(found[0]) == count_regions(layers, square(1.0))
    assert np.array_equal(found[0].begins, found[1].begins)
    assert np.array_equal(found[0].corners, found[1].corners)


def test_a_plane_of_a_higher_space() -> None:
    layers = random_network([10, 10], 6, inputs=5)
    draw = np.random.default_rng(0)
    origin, directions = draw.normal(size=5), draw.normal(size=(2, 5))
    restricted = on_slice(layers, origin, directions)
    points = draw.normal(size=(50, 2))
    assert np.abs(outputs(restricted, points) - outputs(layers, origin + points @ directions)).max() < 1e-12
    assert count_regions(restricted, square(1.0)) == count_by_fractions(restricted, square(1.0))


def test_an_edge_of_the_square_agrees_with_the_line() -> None:
    # The regions met along a segment, once by the polygons that touch it, once by the kinks on it.
    layers = random_network([20, 20], 7)
    on_edge = on_slice(layers, [0.0, -1.0], [[1.0, 0.0]])
    found = regions(layers, square(1.0))
    below = np.minimum.reduceat(found.corners[:, 1], found.begins[:-1]) <= -1
    touching = 0
    for index in np.flatnonzero(below):
        touching += (found.polygon(int(index))[:, 1] == -1).sum() >= 2
    assert touching == len(kinks(on_edge, -1.0, 1.0)) - 1


def test_a_line_merges_what_the_output_does_not_show() -> None:
    # The second layer is dead: kinks of the first are there, the function is constant.
    layers = [
        Layer(np.array([[1.0], [1.0]]), np.array([0.0, -0.5]), 0.0),
        Layer(-np.ones((1, 2)), np.array([-1.0]), 0.0),
        Layer(np.ones((1, 1)), np.zeros(1), 1.0),
    ]
    assert len(kinks(layers, -1.0, 1.0)) - 1 == 3
    assert linear_pieces(layers, -1.0, 1.0) == 1


@pytest.mark.parametrize("ratio", [3, 5, 6, 7, 10, 11, 23])
def test_units_that_bend_at_one_place_make_one_kink(ratio: int) -> None:
    # relu(x - 1/3) + relu(k x - k/3): in floating point the two zeros are neighbouring numbers, or the same
    hidden = Layer(np.array([[1.0], [ratio]]), np.array([-1 / 3, -ratio / 3]), 0.0)
    assert linear_pieces([hidden, Layer(np.ones((1, 2)), np.zeros(1), 1.0)], 0.0, 1.0) == 2
    assert len(kinks([hidden], 0.0, 1.0)) == 3
    at_the_end = [Layer(np.array([[3.0], [3.0]]), np.array([-1.0, -3.0 * (1 - 2**-53)]), 0.0)]
    assert kinks(at_the_end, 0.0, 1.0).tolist() == pytest.approx([0, 1 / 3, 1], abs=1e-15)


def test_too_many_regions_are_refused_with_the_count_so_far() -> None:
    layers = random_network([50, 50], 0)
    with pytest.raises(
        TooManyRegionsError, match=r"more than 1,000 linear regions: at least [\d,]+, counted until"
    ) as caught:
        count_regions(layers, square(1.0), limit=1000)
    assert 1000 < caught.value.found <= count_regions(layers, square(1.0))
    with pytest.raises(TooManyRegionsError):
        regions(layers, square(1.0), limit=1000)
    with pytest.raises(TooManyRegionsError):
        kinks(constructions.sawtooth(12), 0.0, 1.0, max_regions=1000)


def test_linear_layers_are_merged_and_alone_have_one_region() -> None:
    first, second = random_network([6, 5], 3)
    merged = check_layers([first._replace(slope=1.0), second])
    assert len(merged) == 1
    assert np.allclose(merged[0].weight, second.weight @ first.weight)
    assert count_regions([first._replace(slope=1.0)], square(1.0)) == 1
    assert len(regions([first._replace(slope=1.0)], square(1.0))) == 1


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "at least one layer"),
        ([Layer(np.zeros((0, 2)), np.zeros(0), 0.0)], "layer 0: weight"),
        ([Layer(np.zeros((3, 2)), np.zeros(2), 0.0)], "layer 0: weight"),
        ([Layer(np.full((3, 2), np.nan), np.zeros(3), 0.0)], "not finite"),
        (
            [Layer(np.ones((3, 2)), np.zeros(3), 0.0), Layer(np.ones((1, 4)), np.zeros(1), 1.0)],
            "layer 1 takes 4 inputs",
        ),
        ([Layer(np.ones((3, 5)), np.zeros(3), 0.0)], "a plane needs a network of 2 inputs, this one takes 5"),
    ],
)
def test_wrong_networks_are_named(layers: list[Layer], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        count_regions(layers, square(1.0))


def test_wrong_places_are_named() -> None:
    layers = random_network([4], 0)
    for corners, message in (
        (square(1.0)[::-1], "counter-clockwise"),
        (square(1.0)[:2], "3 or more"),
        (np.full((4, 2), np.inf), "finite"),
    ):
        with pytest.raises(ValueError, match=message):
            count_regions(layers, corners)
    with pytest.raises(ValueError, match="linearly dependent"):
        on_slice(layers, [0, 0], [[1, 1], [2, 2]])
    with pytest.raises(ValueError, match="the slice lies in 3 dimensions"):
        on_slice(layers, [0, 0, 0], [[1, 0, 0]])
    with pytest.raises(ValueError, match="low < high"):
        kinks(random_network([4], 0, inputs=1), 1.0, 1.0)
    with pytest.raises(ValueError, match="a line needs a network of 1 input"):
        kinks(layers, 0.0, 1.0)
    with pytest.raises(ValueError, match=r"stages must be in 1\.\.50"):
        constructions.sawtooth(0)
    with pytest.raises(ValueError, match="at least one layer of at least 1 unit"):
        bounds.upper_bound([3, 0], 2)


def test_the_examples_in_the_documentation() -> None:
    page = Path(__file__).parents[2] / "docs" / "depth.md"
    result = doctest.testfile(str(page), module_relative=False)
    assert result.attempted == 3
    assert result.failed == 0
