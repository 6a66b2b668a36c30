"""Figures of a restricted Boltzmann machine."""

from collections.abc import Iterator
from typing import Any

from dashboard.energy import dreams_figure, filters_figure, two_sided_figure
from models.energy.judgement import Judgement
from models.energy.machine import RBM

MOST_DREAMS = 60


def machine_figures(rbm: RBM, judgement: Judgement, size: list[int]) -> Iterator[tuple[str, Any]]:
    """Filters, samples, and log Z from both sides.

    Args:
        rbm: The machine.
        judgement: What was measured.
        size: [colours, height, width] of a picture.
    """
    runs = judgement.annealings
    yield (
        "log_z",
        two_sided_figure(
            [run.steps for run in runs], [run.forward for run in runs], [run.backward for run in runs], judgement.exact
        ),
    )
    if size[0] in (1, 3):
        yield "filters", filters_figure(rbm.weight.detach().cpu().numpy(), size)
        dreams = judgement.fantasies[:MOST_DREAMS].numpy()
        how = "exact samples of" if judgement.exact is not None else "samples of"
        title = f"{how} the machine: {len(dreams)} dreams at {judgement.log_likelihood:.1f} nats a test picture"
        yield "samples", dreams_figure(dreams, size, title.replace("-", "−"))
