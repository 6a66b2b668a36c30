"""Whether a task judges as it should: its network at rest, all samples alike, and what is said is what was kept."""

import csv
import functools
import json
import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.connectors.logger_connector.result import _ResultCollection

from trainer.fit.guard import named_tensors
from trainer.folder import RunFolder
from trainer.safe_file import load_checkpoint

SAME = 1e-4  # relative: one batch more or less in a sum of float32


@contextmanager
def judged_rightly(task: Any) -> Iterator[None]:
    """Watches the runs of a task's class.

    In validation and test no part of it may be left as in training, and the weights with which batches enter the mean
    of an epoch must be as their sizes: else the figure depends on how the samples are cut into batches.
    """
    sizes: dict[str, list[tuple[int, int]]] = defaultdict(list)
    left: dict[str, str] = {}  # parts as in training, and the step after which they were
    update = _ResultCollection.update_metrics

    def weighed(self: Any, key: str, value: Any, batch_size: int) -> None:
        meta = self[key].meta
        in_step = meta.fx.partition(".")[0].endswith("_step")
        lengths = {len(tensor) for _, tensor in named_tensors(self.batch) if tensor.ndim}
        if in_step and meta.on_epoch and meta.is_mean_reduction and self[key].is_tensor and len(lengths) == 1:
            sizes[key].append((batch_size, *lengths))
        update(self, key, value, batch_size)

    def at_rest(step: Any) -> Any:
        @functools.wraps(step)
        def stepping(self: Any, *words: Any, **named: Any) -> Any:
            given = step(self, *words, **named)
            left.update(
                {name or type(self).__name__: step.__name__ for name, one in self.named_modules() if one.training}
            )
            return given

        return stepping

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_ResultCollection, "update_metrics", weighed)
        for name in ("validation_step", "test_step"):
            if getattr(task, name) is not getattr(LightningModule, name):
                patch.setattr(task, name, at_rest(getattr(task, name)))
        yield
    for name, step in left.items():
        raise AssertionError(f"{step} leaves {name} as in training: dropout and batch statistics would act")
    for key, pairs in sizes.items():
        logged, real = map(sum, zip(*pairs, strict=True))
        assert all(math.isclose(one * real, size * logged, rel_tol=SAME) for one, size in pairs), (
            f"{key} was logged with a batch_size that is not that of the batch"
        )


def assert_reported_as_logged(folder: RunFolder) -> None:
    """``best/val_…`` of the result are the figures that the log has of the epoch that was kept."""
    if not folder.best.is_file():
        return
    epoch = load_checkpoint(folder.best)["epoch"] + 1
    with open(folder.history, encoding="utf-8", newline="") as file:
        (logged,) = [row for row in csv.DictReader(file) if row["epoch"] == str(epoch)]
    for tag, value in json.loads(folder.metrics.read_text(encoding="utf-8")).items():
        if tag.startswith("best/val_") and (said := logged.get(tag.replace("best/val_", "val/"))):
            assert value == pytest.approx(float(said), rel=SAME, abs=1e-6), f"{tag} is not what epoch {epoch} logged"
