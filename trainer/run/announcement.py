"""What a run says before its first step, and the page of curves that it opens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lightning.pytorch.utilities import rank_zero_only

from dashboard.layout import Layout, overview
from trainer.contract import offered
from trainer.files import as_word
from trainer.notice import notice
from trainer.run.accumulation import in_a_step
from trainer.run.parts import Run


def layout(monitor: str, beside: Mapping[str, Iterable[str]] | None = None, model: str = "") -> Layout:
    """The overview page of TensorBoard for a task of that name; ``beside`` is its ``overview``."""
    return overview([monitor], beside, model)


@rank_zero_only
def announce(run: Run) -> None:
    """Prints what is about to run; what is allowed but hardly meant gets a note."""
    settings, summary = run.settings, run.data.summary()
    batch, count = settings.data.get("batch_size"), summary["splits"].get("train", 0)
    if isinstance(batch, int) and 0 < count < batch and not offered(run.task, "fixed_features"):
        notice(f"note: --batch_size {batch} is more than there is to train on ({count:,}): a step sees all of it")
    if settings.model.get("lr") == 0:
        notice("note: --lr 0 changes no weight: the run only measures")
    patience, epochs = settings.patience, settings.trainer.get("max_epochs") or 0
    if patience is not None and not settings.trainer.get("val_check_interval") and 0 < epochs <= patience:
        stops = f"within {epochs} epoch{'s' * (epochs != 1)} nothing can stop the run, only the best weights are kept"
        notice(f"note: --early_stopping.patience {patience}: {stops}")
    splits = ", ".join(f"{name} {count:,}" for name, count in summary["splits"].items())
    classes = f", {summary['classes']} classes" if "classes" in summary else ""
    print(f"data    {summary['name']}: {summary['shape']}{classes}; {splits} ({summary['source']})")
    print(f"model   {run.request.model}: {run.task.describe()}")
    print(f"device  {run.device}")
    together = settings.trainer.get("accumulate_grad_batches") or 1
    if isinstance(batch, int) and together > 1:
        print(f"batch   {in_a_step(batch, together, count)}")
    print(f"run     {run.folder.path}")
    print(f"watch   tensorboard --logdir {as_word(run.folder.path.parent.parent)}", flush=True)
