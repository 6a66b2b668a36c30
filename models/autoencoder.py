"""Few numbers for a picture: autoencoders beside principal components.

    python train.py --model autoencoder                               embedded digits, 8 numbers for 64 pixels
    python train.py --model autoencoder --data mnist                  784-1000-500-250-30 and back
    python train.py --model autoencoder --model.kind linear           reaches PCA to many digits, from random weights
    python train.py --model autoencoder --model.noise 0.3             learns to remove noise, beside the Wiener filter

The loss is the squared error of a picture, summed over its values in 0..1, and averaged over pictures. PCA with the
same number of coordinates is the floor of every linear code; what lies below it, only a curved surface can reach.

Source:
    Hinton, Salakhutdinov (2006), Reducing the dimensionality of data with neural networks, Science 313.
    Vincent et al. (2010), Stacked denoising autoencoders. Eckart, Young (1936).
"""
# N batch, C channels, H height, W width, K size of the code

from collections.abc import Iterator
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from models.coding.layerwise import layer_error, stage_at, staged_factor
from models.coding.linear import LinearAutoencoder, lbfgs
from models.coding.networks import Activation, Autoencoder, Convolutional, Dense
from models.coding.options import check_code, check_options
from models.coding.reference import Reference
from models.coding.results import Result, squared_errors
from models.optimisation import build_optimiser, may_fuse, parameter_groups, peak_rate, with_schedule
from models.pixels import pictures_of, unit_range
from models.resuming import resumes, training_loader
from theory.linear_autoencoder import least_loss


class AutoencoderTask(LightningModule):
    """Learns to describe a picture by few numbers and to draw it again from them.

    Args:
        class_names: Names of the classes; only the comparison of clusters with classes looks at labels.
        in_channels: 1 for grey, 3 for colour.
        image_size: [height, width] of the pictures in pixels.
        kind: ``deep`` (fully connected), ``convolutional``, or ``linear``, trained on the exact covariance.
        sizes: Widths of the hidden layers (channels of a convolutional network), the last being the code's. A linear
            network has no hidden layer: only the last is used.
        activation: Of the hidden layers.
        output: ``sigmoid`` squashes what comes out to 0..1, ``linear`` does not.
        tied: The decoder uses the encoder's weights, transposed.
        noise: Standard deviation of Gaussian noise on the input in training, on the scale 0..1; the target is clean.
        pretrain: ``greedy`` trains the layers one after the other before all learn together.
        pretrain_share: Share of the steps for that, in (0, 1).
        lr: Peak learning rate of AdamW.
        momentum: First beta of AdamW.
        weight_decay: Pull of the weights (not of biases) towards 0.
        warmup: Share of the steps in which the learning rate climbs to its peak, 0 to 1; then it falls to 0 linearly.
        iterations: Of a linear network: iterations of the solver in each training step, whatever the batch holds.
        polish: Of a linear network: share of the steps, at the end, of exact alternating minimisation (subspace
            iteration) instead of L-BFGS, 0 to 1.
    """

    CONDITIONS = (
        (
            tuple(f"model.{name}" for name in ("activation", "output", "lr", "momentum", "weight_decay", "warmup")),
            lambda options: options["model.kind"] != "linear",
            "not for --model.kind linear, which has no hidden layer and is solved by L-BFGS",
        ),
        (("model.iterations", "model.polish"), lambda o: o["model.kind"] == "linear", "only for --model.kind linear"),
        (("model.pretrain_share",), lambda o: o["model.pretrain"] == "greedy", "only for --model.pretrain greedy"),
    )
    monitor, mode = "val/loss", "min"
    judges_validation, reads_labels = True, False

    def __init__(
        self,
        class_names: list[str],
        in_channels: int,
        image_size: list[int],
        kind: Literal["deep", "convolutional", "linear"] = "deep",
        sizes: list[int] = [256, 64, 8],  # noqa: B006 (jsonargparse shows it in --model.help; it is never changed)
        activation: Activation = "silu",
        output: Literal["sigmoid", "linear"] = "sigmoid",
        tied: bool = False,
        noise: float = 0.0,
        pretrain: Literal["none", "greedy"] = "none",
        pretrain_share: float = 0.3,
        lr: float = 2e-3,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        warmup: float = 0.1,
        iterations: int = 10,
        polish: float = 0.5,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        pixels = in_channels * image_size[0] * image_size[1]
        self.check(dict(self.hparams))
        check_code(sizes[-1], pixels, kind == "linear", noise)
        shape = (in_channels, image_size[0], image_size[1])
        self.automatic_optimization = kind != "linear"
        if kind == "linear":
            self.monitor = "train/loss"  # its floor is a theorem about the training pictures
        self.model: Autoencoder | LinearAutoencoder
        if kind == "linear":
            self.model = LinearAutoencoder(shape, sizes[-1], tied, noise)
        elif kind == "deep":
            self.model = Autoencoder(Dense(pixels, sizes, activation, tied), shape, output)
        else:
            self.model = Autoencoder(Convolutional(in_channels, image_size, sizes, activation), shape, output)
        self.sums = torch.zeros(2)  # loss * pictures, pictures of this epoch
        self.parts: list[tuple[Tensor, ...]] = []
        self.history: list[tuple[int, float]] = []  # iterations of a linear network and its gap
        self.reference: Reference | None = None
        self.result: Result | None = None
        self.pca_loss: float | None = None  # of principal components on the validation pictures
        self.total_steps = 1
        self.resumed = False

    @classmethod
    def check(cls, options: dict[str, Any]) -> None:
        """Refuses options that are wrong whatever the data are.

        Raises:
            ValueError: If an option is out of range or two do not go together.
        """
        check_options(options)

    def pixels(self, images: Tensor) -> Tensor:
        """Pictures in 0..1. Args: uint8 in 0..255 or float in 0..1, shape (N, C, H, W). Returns: float, same shape."""
        return unit_range(images, self.model.mean.dtype)

    def forward(self, images: Tensor) -> Tensor:
        """Reconstructions in 0..1 of pictures, uint8 or float, both (N, C, H, W)."""
        restored: Tensor = self.model(self.pixels(images))
        return restored

    def on_train_start(self) -> None:
        """A network starts at the mean picture; a linear one knows the covariance."""
        reference = self.refer_to(self.trainer.train_dataloader, self.trainer.val_dataloaders)
        if not isinstance(self.model, LinearAutoencoder) and not self.resumed:
            self.model.centre(reference.mean.to(self.model.mean))
        self.sums = self.sums.to(self.device)

    def refer_to(self, training: Any, validation: Any) -> Reference:
        """Takes the mean picture and, for a linear network, the covariance from the loader of the training pictures."""
        held_out = pictures_of(validation) if validation else None
        self.reference = Reference(pictures_of(training), held_out)
        if isinstance(self.model, LinearAutoencoder):
            self.model.fit_moments(*self.reference.moments)
        return self.reference

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Squared error of one batch; a linear network takes steps on the exact loss instead."""
        if isinstance(self.model, LinearAutoencoder):
            return self.exact_step(self.model, batch_idx)
        clean, noise = self.pixels(batch[0]), self.hparams["noise"]
        if (stage := self.stage()) is not None:
            loss = layer_error(self.model, clean, noise, stage).mean()
        else:
            seen = clean + noise * torch.randn_like(clean) if noise else clean
            loss = squared_errors(self.model(seen), clean).mean()
        self.sums[0].add_(loss.detach(), alpha=len(clean))
        self.sums[1].add_(len(clean))
        return loss

    def stage(self) -> int | None:
        """Which layer learns alone at this step; None when all learn together."""
        if self.hparams["pretrain"] == "none":
            return None
        share, layers = self.hparams["pretrain_share"], len(self.hparams["sizes"])
        return stage_at(self.trainer.global_step, self.total_steps, share, layers)

    def exact_step(self, model: LinearAutoencoder, batch_idx: int) -> Tensor:
        """L-BFGS on the exact loss, or alternating minimisation near the end; returns the loss before it."""
        batches = int(self.trainer.num_training_batches)
        place, total = self.current_epoch * batches + batch_idx, (self.trainer.max_epochs or 1) * batches
        before = model.loss().detach()
        self.remember(place * self.hparams["iterations"], float(before))
        if place >= (1 - self.hparams["polish"]) * total:
            model.polish(self.hparams["iterations"])
        else:
            optimiser: Any = self.optimizers()

            def closure() -> Tensor:
                optimiser.zero_grad()
                loss = model.loss()
                self.manual_backward(loss)
                return loss

            optimiser.step(closure=closure)
        self.sums[0].add_(float(before))
        self.sums[1].add_(1)
        return before

    @property
    def overview(self) -> dict[str, dict[str, float | None]]:
        """Theory beside the curves of TensorBoard's overview; see `trainer.contract.Task`."""
        return {"loss": {"theory/val_pca_squared_error" if self.automatic_optimization else "theory/least_loss": None}}

    def remember(self, iteration: int, loss: float) -> None:
        """Adds one point to the curve of the gap from the least possible loss."""
        least = self.least_loss()
        self.history.append((iteration, (loss - least) / (least or 1.0)))

    def least_loss(self) -> float:
        """The floor of a linear network on its training pictures."""
        assert self.reference is not None
        return least_loss(self.reference.basis.eigenvalues, self.hparams["sizes"][-1], self.hparams["noise"])

    def on_train_epoch_end(self) -> None:
        """Logs the mean loss of the epoch."""
        values = {"train/loss": self.sums[0] / self.sums[1].clamp_min(1)}
        if self.automatic_optimization:
            values["lr/adamw"] = torch.tensor(peak_rate(self.trainer))
        elif self.history:
            values["gap/relative_to_least_loss"] = torch.tensor(self.history[-1][1])
            values["theory/least_loss"] = torch.tensor(self.least_loss())
        self.log_dict(values)
        self.sums = torch.zeros_like(self.sums)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Keeps the outputs of one batch."""
        self.collect(batch)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Keeps the outputs of one batch."""
        self.collect(batch)

    def collect(self, batch: tuple[Tensor, Tensor]) -> None:
        """Keeps pictures, labels, codes and reconstructions of a batch."""
        with torch.autocast(self.device.type, enabled=False):  # an error is told in full precision
            code = self.model.encode(self.pixels(batch[0]))
            restored = self.model.decode(code)
        self.parts.append((batch[0].cpu(), batch[1].cpu(), code.cpu(), restored.cpu()))

    def on_validation_epoch_end(self) -> None:
        """Logs the error on the validation pictures."""
        self.result = self.finish("val")
        self.log("val/loss", self.result.errors.mean().float())
        if self.automatic_optimization:
            self.pca_loss = self.pca_loss or self.result.pca_error  # the pictures are the same in every epoch
            self.log("theory/val_pca_squared_error", self.pca_loss)

    def on_test_epoch_end(self) -> None:
        """Logs the main figure; the others are measured once, when they are asked for."""
        self.result = self.finish("test")
        self.log("test/squared_error", float(self.result.errors.mean()))

    def finish(self, split: str) -> Result:
        """Joins the collected batches and starts afresh; a resumed run may have had nothing left to train."""
        reference = self.reference or self.refer_to(training_loader(self), self.trainer.datamodule.val_dataloader())  # type: ignore[attr-defined]
        joined = [torch.cat(part) for part in zip(*self.parts, strict=True)]
        self.parts = []
        images, labels, codes, restored = joined
        return Result(reference, images, labels, codes, restored, self.hparams["class_names"], split)

    def measured(self) -> Result | None:
        """The result with what needs the network once more: anomalies, noise, the exact loss; None without any."""
        from models.coding.measurement import complete

        if self.result is not None and not self.result.complete:
            complete(self, self.result)
            if isinstance(self.model, LinearAutoencoder):
                self.result.exact = float(self.model.loss().detach()), self.least_loss()
        return self.result

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """L-BFGS for a linear network, else AdamW and one cycle of the learning rate."""
        options = self.hparams
        if isinstance(self.model, LinearAutoencoder):
            return lbfgs(self.model, options["iterations"])
        groups = parameter_groups([self.model], options["weight_decay"])
        optimiser = build_optimiser("adamw", groups, options["lr"], options["momentum"], may_fuse(self.trainer))
        total = self.total_steps = int(self.trainer.estimated_stepping_batches)
        share, layers = options["pretrain_share"] if options["pretrain"] == "greedy" else 0.0, len(options["sizes"])
        return with_schedule(optimiser, lambda step: staged_factor(step, total, share, layers, options["warmup"]))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the sums of a half-finished epoch and the curve so far, so that a resumed run reports the same."""
        checkpoint["sums"], checkpoint["history"] = self.sums.cpu(), list(self.history)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores what `on_save_checkpoint` kept."""
        self.resumed = True
        if resumes(self):
            self.sums, self.history = checkpoint["sums"].to(self.device), [tuple(p) for p in checkpoint["history"]]

    def describe(self) -> str:
        """Sizes, for the first lines of a run."""
        options, count = self.hparams, sum(parameter.numel() for parameter in self.parameters())
        size = options["in_channels"] * options["image_size"][0] * options["image_size"][1]
        inside = options["sizes"][-1:] if options["kind"] == "linear" else options["sizes"]
        widths = "-".join(str(width) for width in [size, *inside])
        return f"{options['kind']} {widths} and back{', tied' if options['tied'] else ''}, {count:,} parameters"

    def findings(self) -> list[tuple[str, str]]:
        """The result and what stands beside it."""
        if (result := self.measured()) is None:
            return [("result", "nothing was measured: there is neither a test nor a validation set")]
        return result.findings()

    def final_metrics(self) -> dict[str, float]:
        """Figures of the result."""
        result = self.measured()
        return result.metrics() if result else {}

    def figures(self) -> Iterator[tuple[str, Any]]:
        """Figures of the run; see `models.coding.pictures`."""
        from models.coding.pictures import autoencoder_figures

        if result := self.measured():
            yield from autoencoder_figures(self, result)

    def show(self, writer: Any, step: int) -> list[str]:
        """The codes with thumbnails in the projector."""
        from models.coding.pictures import show_codes

        if result := self.measured():
            show_codes(writer, step, result)
        return []
