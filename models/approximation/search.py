"""The search for the best broken lines: many starts for every width, refined together, then with knots moved over.

The starts of a width: the knots of the best segmentation, with 0, 1 and 2 ramps at its highest jumps; knots that share
the curvature equally; equal cells; and knots at random places, one set a seed. When all have come to rest, each width
that is not yet at its floor goes on from its best line: copies of it lose a knot that is cheap to lose and get one in a
cell with a large error; and one starts from the best of all continuous lines with knots on a grid of places, which is
known exactly (``theory.joined_pieces``).
"""

# W widths, K starts a width, P = W K lines, N most pieces, M samples

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from models.approximation.knots import Fit, Search, begin, evaluate, fit_values, improve, knots_of, log_gaps_of
from theory.broken_lines import equidistributed_knots, segmentation_knots, settled
from theory.joined_pieces import best_joined
from theory.seeds import mix_seed
from theory.segmentation import best_segmentation

RAMPS = (0, 1, 2)
NAMES = ("segmentation", "segmentation, 1 ramp", "segmentation, 2 ramps", "equal curvature", "equal cells")
UNIFORM = 4  # place of the equal cells among the starts
GENERATIONS = 2  # rounds of moves
NEAR = 1.0005  # times the floor: nothing worth a move is left
KEPT = 60  # rounds of which the knots are kept, for the figure
CELLS, MOST_ON_GRID, EFFORT = 256, 64, 4096  # cells of the grid; most pieces on it; cells times pieces, about
IN_A_GAP = 8  # places of the grid between two neighbouring samples, at most
CHOICES = 3  # a knot is taken from the cheapest, put into one of the worst


class Line(NamedTuple):
    """A broken line: knots (N + 1,), its values there (N + 1,), and its mean squared error on the samples."""

    knots: Tensor
    values: Tensor
    error: float


class SplineSearch(nn.Module):
    """Broken lines of several widths, each from several starts.

    Args:
        widths: Pieces N of the lines.
        seeds: Random starts of each width, at least 0.
        noisy: The samples carry noise: curvature cannot be read off them.
        seed: Of the random starts and the moves.
    """

    log_gaps: Tensor
    damping: Tensor
    rejected: Tensor
    done: Tensor
    generation: Tensor
    first_error: Tensor
    path: Tensor
    rounds: Tensor
    best_knots: Tensor
    best_values: Tensor

    def __init__(self, widths: Sequence[int], seeds: int, noisy: bool = False, seed: int = 0) -> None:
        super().__init__()
        self.widths, self.noisy, self.seed = list(widths), noisy, seed
        self.names = [*NAMES, *(f"random {number}" for number in range(seeds))]
        self.starts, self.most = len(self.names), max(widths)
        count = len(self.widths) * self.starts
        state = begin(torch.zeros(count, self.most, dtype=torch.float64))
        for name, tensor in zip(Search._fields, state, strict=True):
            self.register_buffer(name, tensor)
        self.register_buffer("generation", torch.tensor(-1))  # -1: not started
        self.register_buffer("rounds", torch.tensor(0))
        self.register_buffer("first_error", torch.zeros(count, dtype=torch.float64))  # where the starts led
        self.register_buffer("path", torch.zeros(KEPT, len(self.widths), self.most + 1, dtype=torch.float64))
        # What another run reads of a checkpoint: the samples are not in it
        self.register_buffer(
            "best_knots", torch.linspace(0, 1, self.most + 1, dtype=torch.float64).repeat(len(widths), 1)
        )
        self.register_buffer("best_values", torch.zeros(len(widths), self.most + 1, dtype=torch.float64))
        self._fit: Fit | None = None

    @property
    def search(self) -> Search:
        """Where every line stands."""
        return Search(self.log_gaps, self.damping, self.rejected, self.done)

    @search.setter
    def search(self, state: Search) -> None:
        for name, tensor in zip(Search._fields, state, strict=True):
            getattr(self, name).copy_(tensor)

    def start(self, x: Tensor, y: Tensor) -> None:
        """Lays the first knots. Args: x in [0, 1], ascending, and y, each of shape (M,)."""
        places, values = x.cpu().numpy(), y.cpu().numpy()
        if self.noisy and len(places) > 1024:  # means of neighbours: less noise, and the segmentation in no time
            groups = np.array_split(np.arange(len(places)), 1024)
            places, values = (np.array([part[group].mean() for group in groups]) for part in (places, values))
        best = best_segmentation(places, values, self.most)
        generator = torch.Generator().manual_seed(mix_seed(self.seed, 1))
        rows = []
        for pieces in self.widths:
            knots = [segmentation_knots(places, values, best, pieces, min(ramps, pieces - 1)) for ramps in RAMPS]
            equal = np.linspace(0, 1, pieces + 1)
            knots.append(equal if self.noisy else equidistributed_knots(places, values, pieces))
            knots.append(equal)
            for _ in range(self.starts - len(NAMES)):
                inner = torch.rand(pieces - 1, generator=generator, dtype=torch.float64).sort().values.numpy()
                knots.append(np.concatenate([[0.0], inner, [1.0]]))
            rows += [log_gaps_of(torch.from_numpy(one), self.most) for one in knots]
        self.search = begin(torch.stack(rows).to(x.device))
        self.generation.fill_(0)

    def current(self, x: Tensor, y: Tensor) -> Fit:
        """The fit on the knots as they stand; computed again after a resume."""
        if self._fit is None or self._fit.knots.device != x.device:
            self._fit = fit_values(knots_of(self.log_gaps), x, y)
        return self._fit

    def step(self, x: Tensor, y: Tensor, floors: Sequence[float]) -> Tensor:
        """One trial of every line that is not at rest.

        Args:
            x: Samples in [0, 1], ascending, shape (M,).
            y: Their values, shape (M,).
            floors: Root mean square error below which no line of each width can come, shape (W,).

        Returns:
            The least mean squared error of each width, shape (W,).
        """
        if int(self.generation) < 0:
            self.start(x, y)
        fit = self.current(x, y)
        if int(self.rounds) < KEPT:
            self.path[int(self.rounds)] = fit.knots.view(len(self.widths), self.starts, -1)[:, UNIFORM]
        if bool(self.done.all()) and int(self.generation) < GENERATIONS:
            if int(self.generation) == 0:
                self.first_error.copy_(fit.error / len(x))
            self.generation += 1
            self.move(fit, x, y, floors)
            fit = self.current(x, y)
        if not bool(self.done.all()):
            self.search, self._fit = improve(self.search, fit, x, y)
            self.rounds += 1
        fit = self.current(x, y)
        least, best = fit.error.view(len(self.widths), -1).min(1)
        rows = best + self.starts * torch.arange(len(self.widths), device=best.device)
        self.best_knots.copy_(fit.knots[rows])
        self.best_values.copy_(fit.values[rows])
        return least / len(x)

    def move(self, fit: Fit, x: Tensor, y: Tensor, floors: Sequence[float]) -> None:
        """Takes up the best line of each width that is above its floor, in copies with one knot moved over."""
        generator = torch.Generator().manual_seed(mix_seed(self.seed, 2, int(self.generation)))
        state = begin(self.log_gaps.clone())
        state.done.fill_(True)
        errors = fit.error.view(len(self.widths), -1)
        least = (NEAR * torch.tensor(floors, dtype=x.dtype, device=x.device)).square() * len(x)
        far = errors.amin(1) > least + 1e-24 * y.square().sum()
        wanted = [place for place, pieces in enumerate(self.widths) if pieces > 2 and bool(far[place])]
        on_grid = self.on_grid(x, y, wanted) if int(self.generation) == 1 else {}
        for place in wanted:
            best, pieces = place * self.starts + int(errors[place].argmin()), self.widths[place]
            knots, values = fit.knots[best, : pieces + 1], fit.values[best, : pieces + 1]
            rows = range(place * self.starts, (place + 1) * self.starts)
            moves = [knots, *([on_grid[place]] if place in on_grid else [])]
            moves += [moved_over(knots, values, x, y, generator) for _ in rows[len(moves) :]]
            for row, moved in zip(rows, moves, strict=True):
                state.log_gaps[row] = log_gaps_of(moved, self.most)
                state.done[row] = False
        self.search, self._fit = state, None

    def on_grid(self, x: Tensor, y: Tensor, wanted: Sequence[int]) -> dict[int, Tensor]:
        """Knots of the best lines on a grid, by place of the width. Args: x, y (M,); wanted, places of the widths."""
        wanted = [place for place in wanted if self.widths[place] <= MOST_ON_GRID]
        if not wanted:
            return {}
        most = max(self.widths[place] for place in wanted)
        samples = x.cpu().numpy()
        grid = thinned(np.linspace(0, 1, min(CELLS, max(EFFORT // most, 2 * most)) + 1), samples)
        if len(grid) <= most:
            return {}
        found = best_joined(samples, y.cpu().numpy(), grid, most)
        return {place: torch.from_numpy(found.knots(self.widths[place])).to(x) for place in wanted}

    def best(self, x: Tensor, y: Tensor) -> list[Line]:
        """The best line of each width."""
        fit, lines = self.current(x, y), []
        errors = fit.error.view(len(self.widths), -1) / len(x)
        for place, pieces in enumerate(self.widths):
            row = place * self.starts + int(errors[place].argmin())
            found = [part[row, : pieces + 1].cpu().numpy() for part in (fit.knots, fit.values)]
            knots, values = (torch.from_numpy(part).to(x) for part in settled(found[0], found[1], x.cpu().numpy()))
            lines.append(Line(knots, values, float(errors[place].min())))
        return lines


def thinned(grid: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """The places of a grid, but of those between two neighbouring samples at most `IN_A_GAP`, evenly chosen.

    Where there is no sample a knot is as good at one place as at another, and lines with knots at all of them are many.

    Args:
        grid: Ascending, shape (G + 1,); its ends are kept.
        samples: Ascending, shape (M,), some perhaps equal.
    """
    gap = np.searchsorted(np.unique(samples), grid[1:-1], side="right")
    first, size = np.searchsorted(gap, gap), np.bincount(gap, minlength=1)[gap]
    number = np.arange(len(gap)) - first  # of a place in its gap
    kept = size <= IN_A_GAP
    kept |= number * IN_A_GAP // size != (number - 1) * IN_A_GAP // size
    return grid[np.concatenate([[True], kept, [True]])]


def moved_over(knots: Tensor, values: Tensor, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    """The knots without one that hardly bends the line, and with one in the middle of a cell of large error.

    Args:
        knots: Of one line, shape (N + 1,), N at least 3.
        values: At the knots, shape (N + 1,).
        x: Samples, shape (M,).
        y: Their values, shape (M,).
        generator: Chooses among the first few candidates.
    """
    gaps = knots.diff()
    # Without knot i the line runs straight from k_{i-1} to k_{i+1}: off by this height at k_i, less beside it.
    height = (values.diff() / gaps).diff() * gaps[1:] * gaps[:-1] / (gaps[1:] + gaps[:-1])
    price = height.square() * (gaps[1:] + gaps[:-1])
    error = (evaluate(knots[None], values[None], x)[0] - y).square()
    cell = torch.searchsorted(knots[1:-1].contiguous(), x)
    worst = torch.zeros_like(gaps).scatter_add_(0, cell, error)
    options = min(CHOICES, len(price))
    lost, found = (int(torch.randint(options, (), generator=generator)) for _ in range(2))
    gone = 1 + int(price.argsort()[lost])
    into = int(worst.argsort(descending=True)[found])
    middle = (knots[into] + knots[into + 1]) / 2
    return torch.cat([knots[:gone], knots[gone + 1 :], middle[None]]).sort().values
