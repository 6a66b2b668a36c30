"""Stop at the first value that is not finite, before it reaches the weights; refuse to train or validate on nothing.

A NaN loss otherwise trains to the end with exit status 0 and leaves checkpoints full of NaN. The loss and the gradients
are looked at once per optimiser step, together, so that a GPU waits once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from trainer.contract import offered
from trainer.errors import RunFailed, UserError
from trainer.files import write_atomically
from trainer.folder import RunFolder
from trainer.notice import notice


def gradients(optimizer: Optimizer) -> list[Tensor]:
    """Gradients that ``optimizer`` is about to apply."""
    return [
        parameter.grad
        for group in optimizer.param_groups
        for parameter in group["params"]
        if parameter.grad is not None
    ]


def gradient_norm(grads: list[Tensor]) -> Tensor:
    """Euclidean norm of all gradients together, a scalar; 0 without gradients."""
    # What torch.nn.utils.get_total_norm computes, without its grouping by device, in two thirds of the time.
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads))) if grads else torch.zeros(())


def all_finite(grads: list[Tensor], loss: Tensor | None) -> bool:
    """Whether every number of the gradients and of the loss, a scalar, is finite; one wait for a GPU.

    On a CPU one kernel looks through the gradients, the one that finds overflow where they are scaled; it multiplies by
    1, so nothing is changed. Elsewhere their norm tells, and False may also mean that a sum of squares is too large.
    """
    if not grads or grads[0].device.type != "cpu":
        norm = gradient_norm(grads)
        return bool((norm if loss is None else norm + loss.to(norm.device)).isfinite())
    if loss is not None and not math.isfinite(loss.item()):
        return False
    found, one = _flag()
    torch._amp_foreach_non_finite_check_and_unscale_(grads, found, one)
    finite = found.item() == 0
    if not finite:
        found.zero_()
    return finite


@cache
def _flag() -> tuple[Tensor, Tensor]:
    """Where the kernel notes what it finds, and its factor; of this type whatever the type of the network is."""
    return torch.zeros(1, dtype=torch.float32), torch.ones(1, dtype=torch.float32)


def named_tensors(batch: Any, name: str = "batch") -> Iterator[tuple[str, Tensor]]:
    """The tensors of a nested batch with their place in it, e.g. ``batch.0``."""
    if isinstance(batch, Tensor):
        yield name, batch
    elif isinstance(batch, dict):
        for key, value in batch.items():
            yield from named_tensors(value, f"{name}.{key}")
    elif isinstance(batch, list | tuple):
        for index, value in enumerate(batch):
            yield from named_tensors(value, f"{name}.{index}")


def texts(batch: Any) -> list[str]:
    """The texts of a nested batch: the paths of its pictures, where a loader gives them."""
    if isinstance(batch, str):
        return [batch]
    values = batch.values() if isinstance(batch, dict) else batch if isinstance(batch, list | tuple) else ()
    return [text for value in values for text in texts(value)]


def picture_paths(trainer: Trainer, batch: Any) -> list[str]:
    """The files of the pictures in a batch: those that the loader gives beside them, else those of its last batch.

    Empty where the data are no files, or where the loader does not hold them in the order of ``paths("train")``, as
    when it repeats the pictures of rare classes.
    """
    if found := texts(batch):
        return found
    data: Any = getattr(trainer, "datamodule", None)
    loader: Any = getattr(trainer, "train_dataloader", None)
    paths_of = offered(data, "paths")
    if paths_of is None or not hasattr(loader, "last_numbers"):
        return []
    paths: list[str] = paths_of("train")
    if len(paths) != len(loader.labels) or not torch.equal(data.labels("train"), loader.labels.cpu()):
        return []
    return [paths[number] for number in loader.last_numbers().tolist()]


def describe(tensor: Tensor) -> dict[str, Any]:
    """Shape, type, range of the finite values and number of the others."""
    values = tensor.detach().double().flatten()
    finite = values[torch.isfinite(values)]
    return {
        "shape": list(tensor.shape),
        "dtype": str(tensor.dtype),
        "nonfinite": int(values.numel() - finite.numel()),
        "min": float(finite.min()) if finite.numel() else None,
        "max": float(finite.max()) if finite.numel() else None,
    }


class FiniteGuard(Callback):
    """Stops within the step in which the loss or a gradient is NaN or infinite; the weights do not see it.

    Gradients of ``16-mixed`` precision may overflow: its scaler skips such steps by itself, so only the loss counts.
    The norm of the gradient is logged as ``sys/grad_norm`` whenever Lightning logs.

    Args:
        run: The batch goes to ``nonfinite/`` in it.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self._batch: Any = None
        self._batch_idx = 0
        self._loss: Tensor | None = None
        self._logged_step = -1

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Remember the batch, for the dump."""
        self._batch, self._batch_idx, self._loss = batch, batch_idx, None

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Keep the loss for the look before the step; look at once where several batches make a step."""
        loss = loss.detach()
        if trainer.accumulate_grad_batches > 1 and not math.isfinite(loss.item()):
            self._stop(trainer, pl_module, f"the loss is {loss.item()}")
        self._loss = loss if self._loss is None else self._loss + loss

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Look at the loss and the gradients together: one wait for a GPU."""
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        grads = [] if scaled else gradients(optimizer)
        if not all_finite(grads, self._loss):
            self._judge(trainer, pl_module, grads)
        step = trainer.fit_loop.epoch_loop._batches_that_stepped
        interval: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if (step + 1) % interval == 0 and step != self._logged_step and trainer.logger and not scaled:
            self._logged_step = step
            trainer.logger.log_metrics({"sys/grad_norm": gradient_norm(grads).item()}, step=step)

    def _judge(self, trainer: Trainer, pl_module: LightningModule, grads: list[Tensor]) -> None:
        """Find what is not finite; a norm whose square overflows is no fault."""
        if self._loss is not None and not math.isfinite(self._loss.item()):
            self._stop(trainer, pl_module, f"the loss is {self._loss.item()}")
        if all(bool(torch.isfinite(grad).all()) for grad in grads):
            return
        bad = [
            name
            for name, parameter in pl_module.named_parameters()
            if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all())
        ]
        self._stop(trainer, pl_module, f"the gradient of {', '.join(bad[:3]) or 'a weight'} is not finite")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Where a task updates its weights by hand, look at the loss it returns."""
        self._batch = None
        if pl_module.automatic_optimization:
            return
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if isinstance(loss, Tensor) and not bool(torch.isfinite(loss).all()):
            self._batch = batch
            self._stop(trainer, pl_module, f"the loss is {loss.detach().sum().item()}")

    def _stop(self, trainer: Trainer, pl_module: LightningModule, what: str) -> None:
        path = self._dump(trainer, what)
        kept = (
            f"{self.run.last} holds the last finite weights" if self.run.last.exists() else "no checkpoint was due yet"
        )
        raise RunFailed(
            f"stopped at step {trainer.global_step} (epoch {trainer.current_epoch}, batch {self._batch_idx}): {what}. "
            f"The batch is in {path}; {kept}"
        )

    def _dump(self, trainer: Trainer, what: str) -> Path:
        """Write the tensors of the batch, and what is known about them."""
        folder = self.run.nonfinite
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"step{trainer.global_step}-rank{trainer.global_rank}.pt"
        tensors = {name: tensor.detach().cpu() for name, tensor in named_tensors(self._batch)}
        torch.save(tensors, path)
        facts = {
            "what": what,
            "epoch": trainer.current_epoch,
            "batch": self._batch_idx,
            "global_step": trainer.global_step,
            "lr": [
                group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups if "lr" in group
            ],
            "tensors": {name: describe(tensor) for name, tensor in tensors.items()},
            "paths": picture_paths(trainer, self._batch),
        }
        write_atomically(path.with_suffix(".json"), json.dumps(facts, indent=2) + "\n")
        return path


class LoaderGuard(Callback):
    """Refuses a validation set without pictures, and a metric of a validation that does not take place.

    No validation at all is fine when it is meant: a datamodule gives no loader, ``limit_val_batches=0``, or the task
    has no ``validation_step``. Then no best checkpoint is kept, and a line says so.

    Args:
        monitor: Tag by which the best checkpoint is chosen, or None.
        patient: Whether early stopping needs the metric.
    """

    def __init__(self, monitor: str | None = None, patient: bool = False) -> None:
        self.monitor = monitor
        self.patient = patient

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the loaders before the first step."""
        batches = self._validation_batches(trainer)
        if batches and not sum(batches):
            raise UserError(
                "the validation set is empty: give it pictures (--data.val_fraction), or say that there is none "
                "(--data.val_fraction 0 or --trainer.limit_val_batches 0)"
            )
        if not batches and self.monitor and not self.monitor.startswith("train/"):
            why = "no validation set" if trainer.limit_val_batches else "no validation (--trainer.limit_val_batches 0)"
            if self.patient:
                raise UserError(f"early stopping waits for {self.monitor!r}, but there is {why}")
            notice(f"{why}, so no {self.monitor!r}: best.ckpt is not kept, last.ckpt is the result")

    @staticmethod
    def _validation_batches(trainer: Trainer) -> list[float]:
        """Batches of each validation loader; empty when there is no validation."""
        if not trainer.enable_validation:
            return []
        loop = trainer.fit_loop.epoch_loop.val_loop
        if loop._combined_loader is None:  # Lightning sets them up here too, if epoch 0 is validated
            trainer.validating = True
            loop.setup_data()
            trainer.training = True
        loaders = loop._combined_loader.flattened if loop._combined_loader is not None else []
        # Lightning counts the empty list, by which a datamodule says that there is no validation, as a loader.
        return [float(number) for loader, number in zip(loaders, loop._max_batches, strict=True) if loader != []]


def check_training_batches(trainer: Trainer) -> None:
    """After ``fit``: Lightning returns at once, as if all were well, when there is nothing to train on.

    Raises:
        UserError: If the training loader gave no batch although it was to be used.
    """
    if trainer.limit_train_batches and trainer.fit_loop.max_batches == 0:
        raise UserError(
            "no training batches: the training set is empty, or smaller than a batch while drop_last leaves out "
            "the rest; make --data.batch_size smaller"
        )
