"""Figures of a run of shapes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dashboard import regions as draw
from dashboard.curves import repeats_figure
from models.depth.counting import Slice
from models.depth.results import Result, bounded
from models.depth.shapes import shape_name
from models.depth.stack import Stack
from theory.intervals import summarise
from theory.regions import constructions
from theory.regions.count import Regions
from theory.regions.line import kinks, linear_pieces
from theory.regions.network import Floats, Layer, affine_maps, outputs
from theory.regions.planar_map import TooManyRegionsError

MOST_DRAWN = 60_000


def pictures(result: Result, stacks: list[Stack]) -> Iterator[tuple[str, Any]]:
    """Name and figure of everything worth drawing."""
    names = [shape_name(widths) for widths in result.shapes]
    scale, unit = (100, "wrong classes of the test points (%)") if result.classifies else (1, "test RMS error")
    yield "regions", slice_figure(result, stacks)
    yield (
        "errors",
        repeats_figure(
            {name: scale * np.asarray(values) for name, values in zip(names, result.errors, strict=True)},
            y_label=unit,
            subject=f"test error on {result.target or 'this data'}, layers × units",
        ),
    )
    counts = result.history.array()  # (T, shapes, S)
    depths = [len(widths) for widths in result.shapes]
    uppers = np.array([bounded(one.upper) for one in result.bounds])
    known = {"upper bound (one layer: Zaslavsky; deep: Serra et al.)": uppers}
    reached = [result.reached(place) for place in range(len(result.bounds))]
    lowers = [math.nan if one is None else bounded(one) for one in reached]
    if not all(map(math.isnan, lowers)):
        known["reached by some network (Montúfar et al., or in this run)"] = np.array(lowers)
    known["order at random (Hanin and Rolnick), without its constant"] = np.array(
        [one.typical for one in result.bounds]
    )
    yield (
        "regions_beside_bounds",
        draw.bounds_figure(
            depths,
            {"random start": counts[0], "trained": np.asarray(result.trained)},
            known,
            result.bounds_text(),
        ),
    )
    if len(result.history.epochs) > 1:
        ends = [f"{name} ({counts[0, i].mean():,.0f} → {counts[-1, i].mean():,.0f})" for i, name in enumerate(names)]
        yield (
            "regions_in_training",
            draw.training_figure(
                result.history.epochs,
                {name: counts[:, place] for place, name in enumerate(names)},
                "linear regions while training, layers × units: " + ", ".join(ends),
            ),
        )
    yield "written_down", written_down()
    for number, (name, layers) in enumerate(result.given.items()):
        if result.where.dimension == 2:
            yield f"checkpoint_{number}", plane_figure([(name, layers)], result.where, f"regions of {name}")


def slice_figure(result: Result, stacks: list[Stack]) -> Any:
    """Regions of the widest shape and of the best deeper one, each by its network of median error."""
    means = [summarise(values).mean for values in result.errors]
    chosen = [0, *sorted(range(1, len(means)), key=means.__getitem__)[:1]]
    networks = []
    for place in chosen:
        order = np.argsort(result.errors[place])
        networks.append(int(order[len(order) // 2]))
    found = [(shape_name(result.shapes[p]), stacks[p].layers(n)) for p, n in zip(chosen, networks, strict=True)]
    errors = [result.error_text([result.errors[p][n]]) for p, n in zip(chosen, networks, strict=True)]
    said = ", ".join(f"{name} {error}" for (name, _), error in zip(found, errors, strict=True))
    on = f"on {result.target or result.where.words()}"
    text = f"linear regions {on}, of each shape the network of median test error ({said})"
    if result.where.dimension == 1:
        low, high = result.where.low, result.where.high
        curves = []
        for name, layers in found:
            places = kinks(layers, low, high)
            curves.append(draw.Curve(name, places, outputs(layers, places[:, None])[:, 0]))
        target = None
        if result.samples is not None:
            target = draw.Curve(result.target, *result.samples)
        return draw.pieces_figure(curves, target, text)
    return plane_figure(found, result.where, text, result.circles if result.where.plane is None else ())


def plane_figure(
    networks: list[tuple[str, list[Layer]]], where: Slice, text: str, circles: Sequence[float] = ()
) -> Any:
    """Regions of networks on a plane, coloured by slope, with the decision boundary and, where known, the true one."""
    drawn = []
    limited = Slice(where.low, where.high, 2, min(where.limit, MOST_DRAWN), where.plane)
    for name, layers in networks:
        try:
            found, slopes = limited.polygons(layers)
        except TooManyRegionsError:
            # Too many to see: the middle ninth of the picture.
            third = (where.high - where.low) / 3
            try:
                found, slopes = Slice(where.low + third, where.high - third, 2, MOST_DRAWN, where.plane).polygons(
                    layers
                )
            except TooManyRegionsError:
                continue
        polygons = [found.polygon(index) for index in range(len(found))]
        drawn.append(draw.Picture(name, polygons, slopes, boundary(limited.restrict(layers), found)))
    return draw.regions_figure(drawn, text, circles)


def boundary(layers: list[Layer], found: Regions) -> Floats:
    """Where both outputs of a network of two classes are equal: a segment at most in each region, (segments, 2, 2)."""
    matrix, offset = affine_maps(layers, found.centres())
    if matrix.shape[1] != 2:
        return np.zeros((0, 2, 2))
    region = np.repeat(np.arange(len(found)), np.diff(found.begins))
    a, c = (matrix[:, 1] - matrix[:, 0])[region], (offset[:, 1] - offset[:, 0])[region]
    here = np.einsum("nd,nd->n", a, found.corners) + c  # logit difference at every corner of every region
    after = np.arange(1, len(here) + 1)
    after[found.begins[1:] - 1] = found.begins[:-1]
    changes = np.flatnonzero((here > 0) != (here[after] > 0))  # two for each region that is cut
    t = here[changes] / (here[changes] - here[after[changes]])
    points = found.corners[changes] + t[:, None] * (found.corners[after[changes]] - found.corners[changes])
    return points.reshape(-1, 2, 2)


def written_down() -> Any:
    """The sawtooth for 1 to 12 layers and x² for 1 to 9 stages, measured, beside one hidden layer."""
    layers, stages = np.arange(1, 13), np.arange(1, 10)
    pieces = [linear_pieces(constructions.sawtooth(int(layer)), 0.0, 1.0) for layer in layers]
    errors = [constructions.measured_square_error(int(stage)) for stage in stages]
    shallow = np.arange(1, 120)
    due = constructions.square_error(7)
    return draw.constructions_figure(
        layers,
        pieces,
        stages,
        errors,
        (shallow, [constructions.shallow_square_error(int(count)) for count in shallow]),
        (21, constructions.shallow_pieces_needed(due), due),
    )
