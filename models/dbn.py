"""A deep belief network: machines learn the pictures layer by layer, then back-propagation names them.

python train.py --model dbn                                  digits, every label
python train.py --model dbn --model.labels 100               what pretraining gains when few pictures have a label
python train.py --model dbn --data mnist

First share of the steps: the machines, each on the hidden units of the one below, without labels. Then: fine-tuning of
the whole by back-propagation. Beside it a network of the same shape, started at random, takes the same steps of
fine-tuning on the same pictures. Where there are validation pictures, ``best.ckpt`` is the epoch at which the two are
best on average: chosen by one of them, the epoch would favour it in the comparison.

Letters: N pictures, V visible units, L layers.

Source: Hinton, Osindero and Teh (2006), A fast learning algorithm for deep belief nets; Hinton and Salakhutdinov
(2006), Reducing the dimensionality of data with neural networks; Erhan et al. (2010), Why does unsupervised
pre-training help deep learning.
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer

from models.energy.bounds import bounds
from models.energy.machine import RANGES, Algorithm
from models.energy.naming import Names, choose_labelled, phase, pretraining_steps
from models.energy.pictures import grey_in_training, unit_pixels
from models.energy.stack import DBN, SigmoidNet
from models.limits import HIGHEST_RATE, HIGHEST_SEED, MOST_LAYERS, MOST_UNITS, SHARE, check_within
from models.optimisation import learning_rate_factor, may_fuse, parameter_groups
from models.pixels import pictures_of

MOST_SEEN = 5000  # pictures from which the biases of a new layer are set
# Options that only the machines read.
MACHINES = ("algorithm", "sweeps", "chains", "pretraining_lr", "momentum", "pretraining_decay")


class DBNTask(LightningModule):
    """Learns pictures without labels, then their names.

    Args:
        class_names: Names of the classes.
        in_channels: Colours a pixel.
        image_size: [height, width] in pixels.
        sizes: Hidden units of each layer, from the pixels up.
        labels: Training pictures whose label is used, a multiple of the number of classes: the same number of each
            class; without it all.
        labels_seed: Which pictures these are.
        pixels_seed: Seed with which grey test pixels are drawn as 0 and 1, once, for the bounds.
        pretraining: Share of all steps spent on the machines, shared evenly by the layers, 0 to below 1.
        algorithm: Persistent chains (pcd), or chains that start at the data (cd).
        sweeps: Sweeps of Gibbs sampling a step.
        chains: Persistent chains.
        pretraining_lr: Learning rate at the start of each machine's steps, at most 1000; it falls to 0 along a line.
        momentum: Momentum of the machines, 0 to below 1.
        pretraining_decay: Pull of the machines' weights towards 0.
        lr: Peak learning rate of fine-tuning by AdamW; it climbs, then falls to 0 along half a cosine.
        warmup: Share of fine-tuning in which it climbs, 0 to 1.
        weight_decay: Pull of the weights towards 0 in fine-tuning.
        dropout: Share of the hidden units left out in fine-tuning.
        input_dropout: Share of the pixels left out in fine-tuning.
        label_smoothing: Share of the target spread evenly over the classes.
        compare: Also fine-tune a network that starts at random.
        ais_temperatures: Temperatures of annealing for the bounds.
        ais_chains: Chains of annealing, at least 2.
        burn_in: Sweeps after which samples count as the model's.
        record_error: Published test error to print beside the result, in 0..1.
        record_source: Where it was published.
    """

    only_single = True  # as the machines that it is made of
    overview: ClassVar[Any] = {"loss": {"train/loss_random": None}, "accuracy": dict.fromkeys(
        f"{part}/accuracy{net}" for net in ("", "_random") for part in ("train", "val"))}  # fmt: skip
    CONDITIONS = (
        (
            tuple(f"model.{name}" for name in MACHINES),
            lambda options: options["model.pretraining"] > 0,
            "--model.pretraining 0 trains no machine",
        ),
        (("model.chains",), lambda options: options["model.algorithm"] == "pcd", "only for --model.algorithm pcd"),
        (("model.labels_seed",), lambda options: options["model.labels"] is not None, "only with --model.labels"),
        (("model.record_source",), lambda o: o["model.record_error"] is not None, "only with --model.record_error"),
    )
    mode = "max"
    pictures: Tensor

    def __init__(
        self,
        class_names: list[str],
        in_channels: int,
        image_size: list[int],
        sizes: list[int] = [128, 128],  # noqa: B006 (jsonargparse shows it in --model.help; it is never changed)
        labels: int | None = None,
        labels_seed: int = 0,
        pixels_seed: int = 0,
        pretraining: float = 0.5,
        algorithm: Algorithm = "cd",
        sweeps: int = 1,
        chains: int = 100,
        pretraining_lr: float = 0.1,
        momentum: float = 0.0,
        pretraining_decay: float = 1e-4,
        lr: float = 1e-3,
        warmup: float = 0.1,
        weight_decay: float = 0.01,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        label_smoothing: float = 0.0,
        compare: bool = True,
        ais_temperatures: int = 1000,
        ais_chains: int = 100,
        burn_in: int = 1000,
        record_error: float | None = None,
        record_source: str = "",
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        check_within(self.hparams, {
            **RANGES, "sizes": (1, MOST_UNITS), "pretraining_lr": (0, HIGHEST_RATE), "warmup": (0, 1),
            "pretraining_decay": (0, HIGHEST_RATE), "labels_seed": (0, HIGHEST_SEED), "record_error": (0, 1),
            "pretraining": SHARE, "dropout": SHARE, "input_dropout": SHARE, "label_smoothing": SHARE,
        })  # fmt: skip
        if not 1 <= len(sizes) <= MOST_LAYERS:
            raise ValueError(f"--model.sizes needs 1 to {MOST_LAYERS:,} layers, got {len(sizes)}")
        if labels is not None and (labels < len(class_names) or labels % len(class_names)):
            raise ValueError(
                f"--model.labels must be a multiple of the number of classes, {len(class_names)}, got {labels}"
            )
        visible = in_channels * math.prod(image_size)
        self.stack = DBN(visible, sizes, algorithm, sweeps, chains)
        shape = (visible, sizes, len(class_names), dropout, input_dropout)
        self.nets = torch.nn.ModuleDict({"pretrained": SigmoidNet(*shape)})
        if compare:
            self.nets["random"] = SigmoidNet(*shape)
        self.monitor = "val/accuracy_mean" if compare else "val/accuracy"
        self.register_buffer("pictures", torch.zeros(ais_chains, visible))  # of training: where samples start
        self.labelled = torch.zeros(0, dtype=torch.int64)  # places of the pictures whose label is used; empty for all
        self.names: Names | None = None
        self.test_batches: list[tuple[Tensor, Tensor]] = []

    def full_digits(self) -> AbstractContextManager[None]:
        """Switches autocast off: energies are sums of thousands of terms."""
        return torch.autocast(self.device.type, enabled=False)

    def on_train_start(self) -> None:
        """Chooses the pictures whose label is used: the same ones after a resume.

        Raises:
            ValueError: If a machine would get no step, there are fewer labels than wanted, or no grey pixel to draw.
        """
        share, machines = self.hparams["pretraining"], len(self.hparams["sizes"])
        steps = pretraining_steps(int(self.trainer.estimated_stepping_batches), share)
        if share and steps < machines:
            raise ValueError(
                f"--model.pretraining {share:g} gives {steps} of {machines} machines a step; train longer, or give 0"
            )
        loader: Any = self.trainer.train_dataloader
        grey_in_training(loader, self.hparams["pixels_seed"])
        if self.hparams["labels"] is not None:
            if not hasattr(loader, "labels"):
                raise ValueError("--model.labels needs pictures that lie in memory, which these data do not")
            self.labelled = choose_labelled(loader.labels, self.hparams["labels"], self.hparams["labels_seed"])

    def training_step(self, batch: Any, batch_idx: int) -> Tensor | None:
        """One step of the machine whose turn it is, or of fine-tuning."""
        step = self.current_epoch * int(self.trainer.num_training_batches) + batch_idx
        total, layers = int(self.trainer.estimated_stepping_batches), len(self.hparams["sizes"])
        layer, progress = phase(step, total, layers, self.hparams["pretraining"])
        new = step == 0 or phase(step - 1, total, layers, self.hparams["pretraining"])[0] != layer
        optimisers: Any = self.optimizers()
        machines, nets = optimisers
        with self.full_digits():
            if new:
                self.begin(layer, batch[0])
            if layer < layers:
                self.stack.climb(layer, unit_pixels(batch[0]))
                self.advance(machines, self.hparams["pretraining_lr"] * (1 - progress))
                return None
            images, labels = self.labelled_batch(batch)
            loss = self.naming_loss(unit_pixels(images), labels)
            self.manual_backward(loss)
            factor = learning_rate_factor(round(progress * 1e6), 10**6, self.hparams["warmup"], "cosine")
            self.advance(nets, self.hparams["lr"] * factor)
            return loss.detach()

    @staticmethod
    def advance(optimiser: Any, lr: float) -> None:
        """One step with this learning rate; gradients are dropped, so that machines at rest stay where they are."""
        for group in optimiser.param_groups:
            group["lr"] = lr
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    def begin(self, layer: int, images: Tensor) -> None:
        """What happens once, before the first step of a phase."""
        resident = pictures_of(self.trainer.train_dataloader, MOST_SEEN, mixed=True).to(images.device)
        if layer < len(self.hparams["sizes"]):
            self.stack.begin(layer, unit_pixels(resident))
        elif self.hparams["pretraining"]:
            net = self.nets["pretrained"]
            assert isinstance(net, SigmoidNet)
            net.take_over(self.stack)
        chosen = torch.arange(len(self.pictures), device=resident.device) % len(resident)
        self.pictures.copy_(unit_pixels(resident[chosen]))

    def labelled_batch(self, batch: Any) -> tuple[Tensor, Tensor]:
        """The batch, or one drawn from the pictures whose label is used."""
        images, labels = batch[0], batch[1]
        if not len(self.labelled):
            return images, labels
        loader: Any = self.trainer.train_dataloader
        drawn = torch.randint(len(self.labelled), (min(len(images), len(self.labelled)),))
        chosen = self.labelled[drawn].to(loader.images.device)
        images = loader.images[chosen]
        if loader.augment is not None:
            images = loader.augment(images, loader.draws(self.current_epoch, loader.position, chosen))
        return images, loader.labels[chosen]

    def naming_loss(self, v: Tensor, labels: Tensor) -> Tensor:
        """Cross entropy, summed over the networks, which do not influence each other."""
        losses, accuracies = [], []
        for name, net in self.nets.items():
            logits = net(v)
            losses.append(F.cross_entropy(logits, labels, label_smoothing=self.hparams["label_smoothing"]))
            accuracies.append((logits.detach().argmax(1) == labels).float().mean())
            suffix = "" if name == "pretrained" else f"_{name}"
            values = {f"train/loss{suffix}": losses[-1].detach(), f"train/accuracy{suffix}": accuracies[-1]}
            self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(v))
        self.log_mean("train", accuracies, len(v))
        return torch.stack(losses).sum()

    def log_mean(self, part: str, accuracies: list[Tensor], count: int) -> None:
        """Logs the mean accuracy of the two networks, where there are two, on ``count`` pictures."""
        if len(accuracies) > 1:
            mean = torch.stack(accuracies).mean()
            self.log(f"{part}/accuracy_mean", mean, on_step=False, on_epoch=True, batch_size=count)

    def on_train_epoch_end(self) -> None:
        """Logs the learning rates."""
        for name, optimiser in zip(("machines", "network"), self.trainer.optimizers, strict=True):
            self.log(f"lr/{name}", float(optimiser.param_groups[0]["lr"]))

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Accuracy of the networks on one batch."""
        with self.full_digits():
            v, accuracies = unit_pixels(batch[0]), []
            for name, net in self.nets.items():
                logits = net(v)
                tag = "val/accuracy" if name == "pretrained" else f"val/accuracy_{name}"
                accuracies.append((logits.argmax(1) == batch[1]).float().mean())
                self.log(tag, accuracies[-1], on_epoch=True, batch_size=len(v))
                if name == "pretrained":
                    self.log("val/loss", F.cross_entropy(logits, batch[1]), on_epoch=True, batch_size=len(v))
            self.log_mean("val", accuracies, len(v))

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Keeps the test pictures for the end."""
        self.test_batches.append((unit_pixels(batch[0]), batch[1]))

    def on_test_epoch_end(self) -> None:
        """Names the test pictures, bounds their likelihood, and dreams."""
        v, labels = (torch.cat(parts) for parts in zip(*self.test_batches, strict=True))
        self.test_batches, options = [], self.hparams
        with self.full_digits():
            right = {name: torch.cat([net(part).argmax(1) for part in v.split(2000)]) == labels
                     for name, net in self.nets.items()}  # fmt: skip
            generator = torch.Generator().manual_seed(options["pixels_seed"])
            drawn = torch.bernoulli(v.cpu(), generator=generator).to(v.device)
            depths = bounds(self.stack, drawn, self.pictures, options["ais_temperatures"], options["burn_in"])
            dreams = self.stack.dream(self.pictures, options["burn_in"]).cpu()
        answers = {name: row.cpu() for name, row in right.items()}
        self.names = Names(answers, depths, dreams, options["pretraining"] > 0)
        self.log_dict(self.names.metrics())

    def configure_optimizers(self) -> list[Optimizer]:
        """Gradient ascent for the machines, AdamW for the networks; `advance` sets their rates."""
        options = self.hparams
        machines = torch.optim.SGD(
            parameter_groups([self.stack], options["pretraining_decay"]), lr=0.0, momentum=options["momentum"]
        )
        groups = parameter_groups([self.nets], options["weight_decay"])
        nets = torch.optim.AdamW(groups, lr=0.0, fused=may_fuse(self.trainer))
        return [machines, nets]

    def describe(self) -> str:
        """Sizes of the network, for the first lines of a run."""
        sizes = "-".join(str(size) for size in [len(self.pictures[0]), *self.hparams["sizes"]])
        labels = "every label" if self.hparams["labels"] is None else f"{self.hparams['labels']} labels"
        return f"{sizes}-{len(self.hparams['class_names'])}, {labels}"

    def findings(self) -> list[tuple[str, str]]:
        """The result and what stands beside it."""
        assert self.names is not None
        return self.names.findings(self.hparams["record_error"], self.hparams["record_source"])

    def final_metrics(self) -> dict[str, float]:
        """Figures of the test with all digits, theory and gaps."""
        assert self.names is not None
        return self.names.metrics() | self.names.beside(self.hparams["record_error"], len(self.hparams["class_names"]))

    def figures(self) -> Iterator[tuple[str, Any]]:
        """Bound after each layer, dreams, filters."""
        from models.energy.board import stack_figures

        assert self.names is not None
        size = [self.hparams["in_channels"], *self.hparams["image_size"]]
        yield from stack_figures(self.stack, self.names, size)

    def show(self, writer: Any, step: int) -> list[str]:
        """Histograms of the machines' weights."""
        for layer, machine in enumerate(self.stack.terms()):
            writer.add_histogram(f"weights/layer_{layer + 1}", machine.weight, step)
        return []
