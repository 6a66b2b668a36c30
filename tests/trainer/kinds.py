"""Small tasks, data and optimisers that use what Lightning allows: one peculiarity each."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch.utilities import CombinedLoader
from torch import Tensor

from tests.trainer.small import SmallData, SmallTask


class WithoutNumber(SmallTask):
    def training_step(self, batch: Any) -> Tensor:  # type: ignore[override]
        return super().training_step(batch, 0)


class WithMore(SmallTask):
    """Gives more than its loss, has hooks of its own, clips, and schedules in every way."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.log_dict({"train/number": float(batch_idx)}, on_step=True, on_epoch=True)
        return {"loss": super().training_step(batch, batch_idx), "size": len(batch[1])}

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch[0] * 1.5, batch[1]

    def on_before_zero_grad(self, optimizer: Any) -> None:
        self.log("train/before", 1.0)

    def on_after_backward(self) -> None:
        for weight in self.parameters():
            assert weight.grad is not None
            weight.grad.mul_(0.5)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.log("train/size", float(outputs["size"]))

    def configure_gradient_clipping(self, *words: Any, **named: Any) -> None:
        self.clipped = getattr(self, "clipped", 0) + 1
        super().configure_gradient_clipping(*words, **named)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        schedules = torch.optim.lr_scheduler
        return [optimizer], [
            {"scheduler": schedules.StepLR(optimizer, 1, 0.9), "interval": "step", "frequency": 3},
            {"scheduler": schedules.StepLR(optimizer, 1, 0.5), "interval": "epoch"},
            {
                "scheduler": schedules.ReduceLROnPlateau(optimizer, patience=0),
                "interval": "step",
                "frequency": 5,
                "monitor": "train/number_step",
            },
        ]


class Nothing(SmallTask):
    """Gives no loss for every third batch."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)
        return None if batch_idx % 3 == 2 else loss


class ByHand(SmallTask):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        optimizer: Any = self.optimizers()
        loss = super().training_step(batch, batch_idx)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        return loss


class Leaving(SmallTask):
    """Ends an epoch at its fifth batch."""

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:  # type: ignore[override]
        return -1 if batch_idx == 4 else None


class OwnStep(SmallTask):
    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)


class Stopping(SmallTask):
    """Asks for an end in the midst of the second epoch."""

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.trainer.should_stop = (self.current_epoch, batch_idx) >= (1, 3)


class Accumulating(SmallTask):
    """From the fourth batch on a step takes two batches."""

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.trainer.accumulate_grad_batches = 1 if batch_idx < 3 else 2


class OwnClip(SmallTask):
    """Clips by itself, whatever the trainer was told."""

    def clip_gradients(self, optimizer: Any, *words: Any, **named: Any) -> None:
        torch.nn.utils.clip_grad_value_(self.parameters(), 0.001)


class Wrapper(torch.nn.Module):
    """What a strategy may put around a task, as for several devices."""

    def __init__(self, task: SmallTask) -> None:
        super().__init__()
        self.task = task

    def forward(self, *words: Any, **named: Any) -> Any:
        given = self.task(*words, **named)
        return given * 0.5 if isinstance(given, Tensor) else given


class Wrapped(SmallTask):
    def on_train_start(self) -> None:
        self.trainer.strategy.model = Wrapper(self)


class Twice(torch.optim.SGD):
    """Looks at the loss twice a step, as optimisers do that look ahead."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        closure()
        return super().step(closure)


class LooksTwice(SmallTask):
    def configure_optimizers(self) -> Any:
        optimizer = Twice(self.parameters(), lr=0.1)
        optimizer.register_step_pre_hook(self.before)
        return optimizer

    def before(self, *_: Any) -> None:
        for weight in self.parameters():
            if weight.grad is not None:
                weight.grad.sign_()


class WithLBFGS(SmallTask):
    def configure_optimizers(self) -> Any:
        return torch.optim.LBFGS(self.parameters(), lr=0.01, max_iter=3)


class LogsEverywhere(SmallTask):
    """Logs where a method of Lightning's is written anew, and comes to the step with gradients switched off."""

    def on_train_epoch_start(self) -> None:
        torch.set_grad_enabled(False)

    def on_train_epoch_end(self) -> None:
        torch.set_grad_enabled(True)

    def configure_gradient_clipping(self, optimizer: Any, **named: Any) -> None:  # type: ignore[override]
        self.log("train/clip", 1.0)
        super().configure_gradient_clipping(optimizer, **named)

    def backward(self, loss: Tensor, *words: Any, **named: Any) -> None:
        self.log("train/backward", 2.0)
        super().backward(loss, *words, **named)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Any) -> None:
        self.log("train/zero", 3.0)
        super().optimizer_zero_grad(epoch, batch_idx, optimizer)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        assert self._current_fx_name == "lr_scheduler_step"
        super().lr_scheduler_step(scheduler, metric)


class Gaps:
    """A loader that gives None now and then."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Any:
        return (None if place % 3 == 1 else batch for place, batch in enumerate(self.loader))


class GapsData(SmallData):
    def train_dataloader(self) -> Any:
        return Gaps(super().train_dataloader())

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch


class Doubling(CombinedLoader):
    def __next__(self) -> Any:
        batch, number, place = super().__next__()
        return [2 * batch[0], batch[1]], number, place


class DoubledData(SmallData):
    def train_dataloader(self) -> Any:
        return Doubling(super().train_dataloader(), "max_size_cycle")


class MovedData(SmallData):
    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch[0] + 1, batch[1]

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return [part.to(device) for part in batch]
