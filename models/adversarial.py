"""The task behind ``--model adversarial``: how little must a picture change before a network is wrong?

    python train.py --model adversarial                                     trains a small network, then attacks it
    python train.py --model adversarial --model.checkpoint runs/cnn-digits/RUN
    python train.py --model adversarial --model.train_epsilon 0.1           adversarial training

Attacks say how bad it is at least; only exhaustive search and certificates say how bad it is. For a linear model,
trained beside the network, the worst case is a closed form (`theory.adversarial`), and PGD is set beside it.
"""
# N batch, K classes

from collections.abc import Iterator
from typing import Any, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from dashboard.style import counted
from models.limits import HIGHEST_RATE, MOST_UNITS, check_within
from models.optimisation import build_optimiser, cycle, may_fuse, parameter_groups
from models.pixels import unit_range
from models.robustness.attacks import pgd
from models.robustness.results import Attacked, attack
from models.robustness.victim import linear_victim, load_victim, new_victim
from theory.seeds import mix_seed


class AdversarialTask(LightningModule):
    """Attacks a classifier of grey pictures: FGSM, PGD, and one pixel by evolution and by exhaustive search.

    Args:
        class_names: Names of the classes, in the order of the labels.
        in_channels: 1; colour pictures are refused.
        image_size: [height, width] of the pictures in pixels.
        mean: Mean of the training pictures per channel, in 0..1.
        std: Standard deviation of the training pictures per channel, in 0..1.
        checkpoint: Run folder or checkpoint of ``--model cnn`` to attack; without it a small network is trained first.
        train_epsilon: Adversarial training: largest change of a pixel while training, 0 to 1; 0 trains as usual. A
            network from a checkpoint is trained further only if this is above 0.
        train_steps: Steps of PGD in adversarial training.
        widths: Channels of each stage of the small network.
        lr: Peak learning rate.
        weight_decay: Pull of the weights towards 0.
        epsilons: Largest changes of a pixel under FGSM and PGD, in 0..1 where 1 is the whole scale.
        steps: Steps of PGD.
        test_images: Test pictures that are attacked at most, the first of the test set.
        one_pixel_images: Of these, pictures at most on which one-pixel attacks are tried: those classified right.
        one_pixel_values: Try ``all`` values of a pixel, which is exact, or its ``extremes``, which gives two bounds.
        population: Candidates of differential evolution, at least 4.
        generations: Generations of differential evolution.
    """

    PLACES = ("checkpoint",)
    CONDITIONS = (
        (("model.widths",), lambda o: o["model.checkpoint"] is None, "the network is that of --model.checkpoint"),
        (
            ("model.train_steps",),
            lambda options: options["model.train_epsilon"] > 0,
            "only for adversarial training, with --model.train_epsilon above 0",
        ),
    )
    monitor, mode = "val/accuracy", "max"

    def __init__(
        self,
        class_names: list[str],
        in_channels: int,
        image_size: list[int],
        mean: list[float],
        std: list[float],
        checkpoint: str | None = None,
        train_epsilon: float = 0.0,
        train_steps: int = 5,
        widths: list[int] = [16, 32],  # noqa: B006 (jsonargparse shows it in --model.help; it is never changed)
        lr: float = 0.1,
        weight_decay: float = 5e-4,
        epsilons: list[float] = [0.02, 0.05, 0.1, 0.15, 0.2, 0.3],  # noqa: B006
        steps: int = 20,
        test_images: int = 1000,
        one_pixel_images: int = 200,
        one_pixel_values: Literal["all", "extremes"] = "all",
        population: int = 50,
        generations: int = 15,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        check_within(self.hparams, {
            "train_epsilon": (0, 1), "train_steps": (1, 1000), "lr": (0, HIGHEST_RATE), "steps": (1, 1000),
            "weight_decay": (0, HIGHEST_RATE), "test_images": (1, 1_000_000), "one_pixel_images": (1, 100_000),
            "population": (4, 10_000), "generations": (0, 10_000), "widths": (1, MOST_UNITS),
        })  # fmt: skip
        if not epsilons or not all(0 < epsilon <= 1 for epsilon in epsilons) or sorted(set(epsilons)) != epsilons:
            raise ValueError(f"--model.epsilons must be increasing numbers above 0, at most 1, got {epsilons}")
        if in_channels != 1:
            raise ValueError(
                f"--model adversarial attacks grey pictures; these have {in_channels} channels "
                "(--data.channels 1 makes those of a folder grey)"
            )
        if checkpoint is None:
            self.victim = new_victim(in_channels, len(class_names), image_size, widths, mean, std)
        else:
            self.victim = load_victim(checkpoint, class_names, in_channels, image_size)
        self.frozen = checkpoint is not None and train_epsilon == 0
        self.victim.requires_grad_(not self.frozen)
        self.linear = linear_victim(len(class_names), in_channels, image_size, mean, std)
        self.values = torch.arange(256) / 255  # what a pixel can hold; narrowed to what the training pictures hold
        self.right = torch.zeros(2)  # right answers and answers
        self.seed = mix_seed(torch.initial_seed(), 1)  # of PGD's start and of the evolution
        self.collected: list[tuple[Tensor, Tensor]] = []
        self.result: Attacked | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of pictures, uint8 in 0..255 or float in 0..1, shape (N, 1, H, W)."""
        logits: Tensor = self.victim(unit_range(images))
        return logits

    def on_fit_start(self) -> None:
        """Finds the values that a pixel can hold."""
        loader: Any = self.trainer.train_dataloader
        seen = getattr(loader, "images", None)
        if seen is not None and seen.dtype == torch.uint8:
            # 8×8 digits hold 17 values, and a change to another one would not be a picture of theirs.
            values = torch.bincount(seen.flatten().long(), minlength=256).nonzero()[:, 0].cpu()
            self.values = torch.cat([values.new_zeros(1), values]).unique() / 255

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Cross-entropy of the network, on attacked pictures if asked for, and of the linear model."""
        images, labels = unit_range(batch[0]), batch[1]
        loss = F.cross_entropy(self.linear(images), labels)
        if self.frozen:
            self.victim.eval()
        else:
            epsilon = self.hparams["train_epsilon"]
            if epsilon > 0:
                self.victim.eval()  # the attack must not move the statistics of batch normalisation
                images = pgd(self.victim, images, labels, epsilon, float(self.values[-1]), self.hparams["train_steps"])
                self.victim.train()
            loss = loss + F.cross_entropy(self.victim(images), labels)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(labels))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Counts the right answers, on attacked pictures where the training is."""
        images, labels = unit_range(batch[0]), batch[1]
        epsilon = self.hparams["train_epsilon"]
        if epsilon > 0:
            images = pgd(self.victim, images, labels, epsilon, float(self.values[-1]), self.hparams["train_steps"])
        right = (self.victim(images).argmax(1) == labels).sum()
        self.right = self.right.to(self.device) + torch.stack([right, torch.full_like(right, len(labels))])

    def on_validation_epoch_end(self) -> None:
        """Logs the accuracy."""
        right, answers = self.trainer.strategy.reduce(self.right, reduce_op="sum")
        self.right = torch.zeros_like(self.right)
        self.log("val/accuracy", right / answers)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Collects the pictures; they are attacked together."""
        self.collected.append((unit_range(batch[0]), batch[1]))

    def on_test_epoch_end(self) -> None:
        """Attacks the test pictures."""
        images, labels = (torch.cat(parts) for parts in zip(*self.collected, strict=True))
        images, labels = (part[: self.hparams["test_images"]] for part in (images, labels))
        self.collected = []
        options = self.hparams
        self.result = attack(
            self.victim.eval(),
            self.linear.eval(),
            images,
            labels=labels,
            values=self.values.to(self.device),
            epsilons=options["epsilons"],
            steps=options["steps"],
            one_pixel_images=options["one_pixel_images"],
            search=options["one_pixel_values"] == "all",
            population=options["population"],
            generations=options["generations"],
            seed=self.seed,
        )
        self.log_dict({name: value for name, value in self.result.metrics().items() if name.startswith("test/")})

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Gradient descent with Nesterov momentum, its rate rising and falling along a line."""
        options = self.hparams
        modules = [self.linear] if self.frozen else [self.linear, self.victim]
        groups = parameter_groups(modules, options["weight_decay"])
        optimiser = build_optimiser("sgd", groups, options["lr"], 0.9, may_fuse(self.trainer))
        return cycle(optimiser, self.trainer, 0.25, "linear")

    def describe(self) -> str:
        """What is attacked, for the first lines of a run."""
        options = self.hparams
        count = sum(parameter.numel() for parameter in self.victim.parameters())
        source = "trained here" if options["checkpoint"] is None else f"from {options['checkpoint']}"
        training = f", adversarial training at ε = {options['train_epsilon']:g}" if options["train_epsilon"] else ""
        return f"a network of {count:,} parameters, {source}{training}; a linear model beside it"

    def findings(self) -> list[tuple[str, str]]:
        """Success rates with their intervals, and the linear model beside its closed form."""
        assert self.result is not None
        options, found = self.hparams, self.result
        known = found.right["fgsm"][0]  # at ε = 0
        wanted = f"wanted were at most {options['test_images']:,} and {options['one_pixel_images']:,}"
        told = f"{len(found.labels):,} test pictures, and one pixel of {len(found.asked):,} of the {known:,} right ones"
        return [*found.findings(), ("attacked", f"{told}; {wanted}")]

    @property
    def failure(self) -> str:
        """One line where there was nothing to attack; else empty."""
        assert self.result is not None
        if len(self.result.asked):
            return ""
        asked = counted(len(self.result.labels), "test picture")
        return f"the network knows none of {asked}: there is nothing to attack"

    def final_metrics(self) -> dict[str, float]:
        """Rates and accuracies."""
        assert self.result is not None
        return self.result.metrics()

    def figures(self) -> Iterator[tuple[str, Any]]:
        """Accuracy over ε, and pictures that were fooled."""
        assert self.result is not None
        yield from self.result.figures(self.hparams["class_names"])

    def show(self, writer: Any, step: int) -> list[str]:
        """Nothing beside the scalars and figures."""
        return []
