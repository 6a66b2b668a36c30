"""The task behind ``--model vanishing-gradients``: which deep networks can be trained, and how one knows beforehand.

    python train.py --model vanishing-gradients
    python train.py --model vanishing-gradients --model.settings "[relu-glorot, relu-he]" --model.depth 50

Networks of every setting are trained side by side on the same batches. Beside each stands what decided its fate before
the first step: the size of δ_l = ∂loss/∂z_l over the layers, measured and by the closed form of `theory.mean_field`.
"""
# S copies, N batch or test pictures, K classes, M settings, E epochs

import math
from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from dashboard.style import counted
from models.deep_mlp import DeepMLP, Gradients, Setting, losses, measure_gradients
from models.limits import HIGHEST_RATE, SHARE, check_within
from models.pixels import unit_range
from models.resuming import resumes
from theory.intervals import summarise, wilson_interval
from theory.seeds import mix_seed

SETTINGS = [
    "sigmoid-glorot", "tanh-glorot", "tanh-orthogonal", "linear-orthogonal", "relu-glorot", "relu-he", "leaky-he",
    "relu-glorot-batch", "relu-he-residual",
]  # fmt: skip
TRAINS = 0.8  # of the way from naming the largest class to no error, from which a network is said to train


class VanishingGradientsTask(LightningModule):
    """Trains deep fully connected networks that differ in activation, initialisation and wiring only.

    Args:
        class_names: Names of the classes, in the order of the labels.
        in_channels: 1 for grey, 3 for colour.
        image_size: [height, width] of the pictures in pixels.
        mean: Mean of the training pictures per channel, in 0..1.
        std: Standard deviation of the training pictures per channel, in 0..1.
        settings: What is compared, each ACTIVATION-INITIALISATION[-WIRING]; activations linear, relu, leaky (slope
            0.2), tanh, sigmoid; initialisations glorot, he, orthogonal; wirings residual, batch (normalisation).
        depth: Layers of the networks that are trained, 3 to 100.
        width: Units of each of their layers.
        copies: Networks trained of each setting, with different weights.
        lr: Learning rate of gradient descent with momentum.
        momentum: Momentum, 0 to below 1.
        measured_depth: Layers of the networks whose gradients are measured, 3 to 100.
        measured_width: Units of each of their layers; the closed form is the limit of large widths.
        measured_batch: Inputs whose gradients are measured.
        draws: Networks measured of each setting; the law is for their geometric mean.
    """

    monitor, mode = "val/accuracy", "max"
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        class_names: list[str],
        in_channels: int,
        image_size: list[int],
        mean: list[float],
        std: list[float],
        settings: list[str] = SETTINGS,
        depth: int = 30,
        width: int = 64,
        copies: int = 1,
        lr: float = 0.003,
        momentum: float = 0.9,
        measured_depth: int = 20,
        measured_width: int = 512,
        measured_batch: int = 256,
        draws: int = 8,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        check_within(self.hparams, {
            "depth": (3, 100), "measured_depth": (3, 100), "width": (2, 4096), "measured_width": (2, 4096),
            "measured_batch": (2, 4096), "copies": (1, 100), "draws": (1, 1000), "lr": (0, HIGHEST_RATE),
            "momentum": SHARE,
        })  # fmt: skip
        if not settings or len(set(settings)) < len(settings):
            raise ValueError(f"--model.settings must name at least one setting, and each once, got {settings}")
        try:
            self.settings = [Setting.parse(text) for text in settings]
        except ValueError as error:
            raise ValueError(f"--model.settings: {error}") from error
        features = in_channels * math.prod(image_size)
        self.networks = nn.ModuleList(
            DeepMLP(setting, copies, features, width, depth, len(class_names)) for setting in self.settings
        )
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).clamp_min(1e-3).view(-1, 1, 1))
        self.train_sums = torch.zeros(len(settings) + 1)  # loss * pictures of each setting, pictures
        self.right = torch.zeros(len(settings), copies)  # right answers of each network
        self.shown = torch.zeros(len(class_names))  # pictures of each class
        self.history: list[list[float]] = []  # mean training loss of each epoch and setting, (E, M)
        self.accuracy: list[list[float]] = []  # of each network on the test pictures, (M, S)
        self.pictures, self.largest = 0, 0.0  # test pictures, and the share of their largest class
        self.gradients: list[Gradients] = []
        self.seed = mix_seed(torch.initial_seed(), 1)  # of the networks whose gradients are measured

    def forward(self, images: Tensor) -> list[Tensor]:
        """Logits (S, N, K) of each setting. Args: images, uint8 in 0..255 or float in 0..1, shape (N, C, H, W)."""
        pixels = unit_range(images, self.mean.dtype)
        x = ((pixels - self.mean) / self.std).flatten(1)
        return [network(x) for network in self.networks]

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Sum of all losses: the networks share no weight, so each sees the gradient of its own."""
        images, labels = batch
        means = torch.stack([losses(logits, labels).mean() for logits in self(images)])  # (M,)
        self.train_sums[:-1].add_(means.detach(), alpha=len(labels))
        self.train_sums[-1] += len(labels)
        return means.sum() * self.hparams["copies"]

    def on_fit_start(self) -> None:
        """Moves the sums to the device of the run."""
        self.train_sums = self.train_sums.to(self.device)

    def on_train_epoch_end(self) -> None:
        """Logs the epoch's mean loss of each setting."""
        sums = self.trainer.strategy.reduce(self.train_sums, reduce_op="sum")
        means = sums[:-1] / sums[-1].clamp_min(1)
        self.log_dict({f"train/loss_{name}": value for name, value in zip(self.names, means, strict=True)})
        self.log("train/loss", means.mean())
        self.history.append(means.tolist())
        self.train_sums = torch.zeros_like(self.train_sums)

    @property
    def overview(self) -> dict[str, dict[str, float | None]]:
        """Theory beside the curves of TensorBoard's overview; see `trainer.contract.Task`."""
        return {"loss": {"theory/chance_loss": math.log(len(self.hparams["class_names"]))}}

    @property
    def names(self) -> list[str]:
        """The settings as tags."""
        return [str(setting).replace("-", "_") for setting in self.settings]

    def evaluation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Counts the right answers of each network, and the pictures of each class."""
        images, labels = batch
        right = [(logits.argmax(2) == labels).sum(1) for logits in self(images)]
        self.right = self.right.to(self.device) + torch.stack(right)
        self.shown = self.shown.to(self.device) + torch.bincount(labels, minlength=len(self.shown))

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Counts on one batch."""
        self.evaluation_step(batch)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Counts on one batch."""
        self.evaluation_step(batch)

    def shares(self) -> tuple[Tensor, Tensor]:
        """Accuracy of each network, shape (M, S), and pictures of each class, shape (K,); starts a new count."""
        right, shown = (self.trainer.strategy.reduce(sums, reduce_op="sum") for sums in (self.right, self.shown))
        self.right, self.shown = torch.zeros_like(self.right), torch.zeros_like(self.shown)
        return right / shown.sum(), shown

    def on_validation_epoch_end(self) -> None:
        """Logs the accuracy of each setting and their mean."""
        accuracy = self.shares()[0].mean(1)
        self.log_dict({f"val/accuracy_{name}": value for name, value in zip(self.names, accuracy, strict=True)})
        self.log("val/accuracy", accuracy.mean())

    def on_test_epoch_end(self) -> None:
        """Logs the accuracies, and measures the gradients of freshly drawn networks."""
        accuracy, shown = self.shares()
        self.accuracy, self.pictures, self.largest = (
            accuracy.tolist(),
            int(shown.sum()),
            float(shown.max() / shown.sum()),
        )
        shares = zip(self.names, accuracy.mean(1), strict=True)
        self.log_dict({f"test/accuracy_{name}": float(share) for name, share in shares})
        depth, width, batch, draws = (
            self.hparams[name] for name in ("measured_depth", "measured_width", "measured_batch", "draws")
        )
        self.gradients = [measure_gradients(one, depth, width, batch, draws, self.seed) for one in self.settings]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Gradient descent with momentum; Adam would divide the size of the gradient away and hide the effect."""
        return torch.optim.SGD(self.parameters(), lr=self.hparams["lr"], momentum=self.hparams["momentum"])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the sums of a half-finished epoch and the curves so far."""
        checkpoint["train_sums"], checkpoint["history"] = self.train_sums.cpu(), self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores what `on_save_checkpoint` kept."""
        if resumes(self):
            self.train_sums, self.history = checkpoint["train_sums"].to(self.device), checkpoint["history"]

    def describe(self) -> str:
        """Sizes, for the first lines of a run."""
        options, count = self.hparams, sum(parameter.numel() for parameter in self.parameters())
        networks = len(self.settings) * options["copies"]
        size = f"{options['depth']} layers of {options['width']} units"
        return f"{counted(networks, 'network')} of {size}, {count:,} parameters"

    def deviations(self) -> list[float]:
        """Measured ‖δ_1‖/‖δ_L‖ over the closed form, less 1, of each setting."""
        depth = self.hparams["measured_depth"]
        pairs = zip(self.settings, self.gradients, strict=True)
        return [found.delta_ratio / setting.theory(depth).delta_ratio - 1 for setting, found in pairs]

    def findings(self) -> list[tuple[str, str]]:
        """How near the law is, then for each setting the gradient's ratio and whether it trains."""
        options = self.hparams
        deviations = self.deviations()
        worst = max(range(len(deviations)), key=lambda place: abs(deviations[place]))
        ratio = f"‖δ₁‖/‖δ_{options['measured_depth']}‖"
        settings, draws = counted(len(deviations), "setting"), counted(options["draws"], "draw")
        lines = [
            (
                "gradient law",
                f"{ratio} of {settings} is within {100 * abs(deviations[worst]):.1f} % of the closed "
                f"form (worst: {self.settings[worst]}; width {options['measured_width']}, {draws})",
            ),
            ("columns", f"{ratio} (due); the same of weight gradients; accuracy at {options['depth']} layers"),
        ]
        for setting, found, shares in zip(self.settings, self.gradients, self.accuracy, strict=True):
            theory = setting.theory(options["measured_depth"])
            weights = "–" if setting.wiring == "batch" else f"{found.weight_ratio:.3g} ({theory.weight_ratio:.3g})"
            text = f"{found.delta_ratio:.4g} ({theory.delta_ratio:.4g}); weights {weights}; {self.verdict(shares)}"
            lines.append((str(setting), text))
        return lines

    def verdict(self, shares: list[float]) -> str:
        """Accuracy, its interval and what it means.

        Args:
            shares: Accuracy of each copy, shape (S,). All answer for the same pictures, so more of them make the
                interval no narrower: its trials are the pictures. How the copies differ is told beside it.
        """
        mean, deviation, copies = summarise(shares)
        low, high = wilson_interval(mean * self.pictures, self.pictures)
        way = (mean - self.largest) / max(1 - self.largest, 1e-12)
        word = "at chance" if low <= self.largest else "trains" if way >= TRAINS else "trains badly"
        spread = f" ± {100 * deviation:.1f} ({copies} copies)" if copies > 1 else ""
        return f"{100 * mean:.1f} %{spread} [{100 * low:.1f}, {100 * high:.1f}]: {word}"

    def final_metrics(self) -> dict[str, float]:
        """Ratios measured and due, and the gap between them."""
        metrics = {
            "theory/chance_loss": math.log(len(self.hparams["class_names"])),
            "theory/largest_class_share": self.largest,
        }
        for name, setting, found, gap in zip(self.names, self.settings, self.gradients, self.deviations(), strict=True):
            theory = setting.theory(self.hparams["measured_depth"])
            metrics |= {
                f"test/delta_ratio_{name}": found.delta_ratio,
                f"theory/delta_ratio_{name}": theory.delta_ratio,
                f"gap/delta_ratio_{name}": gap,
            }
            if setting.wiring != "batch":
                metrics |= {
                    f"test/weight_ratio_{name}": found.weight_ratio,
                    f"theory/weight_ratio_{name}": theory.weight_ratio,
                    f"gap/weight_ratio_{name}": found.weight_ratio / theory.weight_ratio - 1,
                }
        return metrics

    def figures(self) -> Iterator[tuple[str, Any]]:
        """The gradient over the layers, the ratios, and the curves of training."""
        from dashboard.gradient_flow import profile_figure, ratio_figure, trainability_figure

        depth = self.hparams["measured_depth"]
        names, kinds = [one.words for one in self.settings], [one.activation for one in self.settings]
        due = [setting.theory(depth) for setting in self.settings]
        profiles = [found.profile.numpy() for found in self.gradients], [layers.delta for layers in due]
        yield "gradient_profile", profile_figure(names, kinds, *profiles)
        plain = [setting.wiring != "batch" for setting in self.settings]
        weights = [found.weight_ratio if one else math.nan for found, one in zip(self.gradients, plain, strict=True)]
        weights_due = [layers.weight_ratio if one else math.nan for layers, one in zip(due, plain, strict=True)]
        ratios = [found.delta_ratio for found in self.gradients], [layers.delta_ratio for layers in due]
        yield "gradient_ratio", ratio_figure(names, *ratios, weights, weights_due)
        if self.history:
            sizes = len(self.hparams["class_names"]), self.hparams["depth"]
            yield "trainability", trainability_figure(names, kinds, self.history, *sizes)

    def show(self, writer: Any, step: int) -> list[str]:
        """Nothing beside the scalars and figures."""
        return []
