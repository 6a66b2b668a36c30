"""Figures of a restricted Boltzmann machine and of a stack of them."""

from collections.abc import Iterator
from typing import Any

from dashboard.energy import bounds_figure, dreams_figure, filters_figure, two_sided_figure
from models.energy.judgement import Judgement
from models.energy.machine import RBM
from models.energy.naming import Names
from models.energy.stack import DBN

MOST_DREAMS = 60


def machine_figures(rbm: RBM, judgement: Judgement, size: list[int]) -> Iterator[tuple[str, Any]]:
    """Filters, samples, and log Z from both sides where it was annealed.

    Args:
        rbm: The machine.
        judgement: What was measured.
        size: [colours, height, width] of a picture.
    """
    if runs := judgement.annealings:
        ways = [run.forward for run in runs], [run.backward for run in runs]
        yield "log_z", two_sided_figure([run.steps for run in runs], *ways, judgement.exact)
    if size[0] in (1, 3):
        yield "filters", filters_figure(rbm.weight.detach().cpu().numpy(), size)
        dreams = judgement.fantasies[:MOST_DREAMS].numpy()
        how = f"{'exact ' * (judgement.exact is not None)}sample{'s' * (len(dreams) != 1)}"
        title = f"{len(dreams)} {how}; the machine gives test pictures {judgement.log_likelihood:.1f} nats each"
        if judgement.exact is None and judgement.interval is None:
            title += ", by annealing that is not to be trusted"
        yield "samples", dreams_figure(dreams, size, title)


def stack_figures(stack: DBN, names: Names, size: list[int]) -> Iterator[tuple[str, Any]]:
    """Bound after each layer, filters of the first, and pictures that the network makes.

    Args:
        stack: The network.
        names: What the test found.
        size: [colours, height, width] of a picture.
    """
    units = [len(names.dreams[0]), *(depth.units for depth in names.depths)]
    yield (
        "bounds",
        bounds_figure([depth.bound for depth in names.depths], units, [depth.error for depth in names.depths]),
    )
    if size[0] in (1, 3):
        yield "filters", filters_figure(stack.machine(0).weight.detach().cpu().numpy(), size)
        dreams = names.dreams[:MOST_DREAMS].numpy()
        layers = f"{len(names.depths)} layer{'s' * (len(names.depths) != 1)}"
        title = f"pictures made downwards from the top machine of {layers}"
        yield "samples", dreams_figure(dreams, size, title)
