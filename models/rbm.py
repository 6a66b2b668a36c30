"""A restricted Boltzmann machine: which pictures are probable, in nats, with the partition function exact or fenced in.

python train.py --model rbm                      digits, 16 hidden units: log Z by counting beside annealing
python train.py --model rbm --data mnist         500 hidden units; annealing from below and from above

The energy and what follows from it stand in ``theory.rbm``, the gradient in ``models.energy.machine``, annealed
importance sampling in ``theory.ais``.

Letters: N pictures, C chains, V visible units, H hidden units.
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from models.energy.judgement import Judgement, countable, independent_pixels, judge, turned_pixels
from models.energy.machine import RANGES, RBM, Algorithm, Ascent, climb, coin
from models.energy.pictures import are_grey, grey_in_training, pixel_means, unit_pixels
from models.limits import MOST_UNITS, check_within
from models.optimisation import cycle, may_fuse, parameter_groups
from models.pixels import pictures_of
from theory.ais import base_logits
from theory.rbm import check_countable, log_partition, pseudo_log_likelihood
from theory.seeds import mix_seed

COUNTED_EACH_EPOCH = 16  # hidden units whose 65,536 states are counted in each validation: a twentieth of a second
LOOK_EVERY = 50  # batches between two looks at the free energies, which would cost a tenth of the time


class RBMTask(LightningModule):
    """Learns how probable pictures are.

    ``best.ckpt`` is the epoch with the largest likelihood of the validation pictures where 2^16 states or fewer are
    counted in each, and elsewhere with their largest pseudo-likelihood, Σ_i log p(v_i | the other pixels): of all
    pixels of all pictures, or where these are too many of a part of the pixels of each, the same ones in each epoch.

    Args:
        in_channels: Colours a pixel.
        image_size: [height, width] in pixels.
        binarised: What the data's pixels are, to print beside the result. The units are binary, so grey pixels are
            drawn here: those of training anew in each batch, those of validation and test once.
        scheme: How they became black and white, an option of the data: none, sample, redraw or threshold.
        pixels_seed: Seed with which grey pixels of validation and test are drawn as 0 and 1.
        hidden: Hidden units; with at most 20 log Z is counted exactly.
        algorithm: Persistent chains (pcd), or chains that start at the data in each step (cd).
        sweeps: Sweeps of Gibbs sampling a step: the k of CD-k and PCD-k.
        chains: Persistent chains.
        centre: Subtract moving offsets from the units in the gradient.
        lr: Learning rate of the first step; it falls to 0 along a line.
        momentum: Momentum of the ascent, 0 to below 1.
        weight_decay: Pull of the weights towards 0.
        scale: Standard deviation of the weights before training, at most 1000.
        log_z: How the test finds log Z: exact only counts all states, and is refused with more than 20 units on the
            smaller side; ais only anneals; auto counts where it can, and anneals beside it.
        ais_temperatures: Temperatures of annealing, at least 20; 10,000 for a figure to publish.
        ais_chains: Chains of annealing, at least 2, and samples of the model that are shown.
        burn_in: Sweeps after which samples count as the model's.
        record: Published log-likelihood to print beside the result, nats a test picture, at most 0.
        record_source: Where it was published.
    """

    FROM_DATA = ("binarised", "scheme")
    only_single = True  # states are drawn in float32
    reads_labels = False
    CONDITIONS = (
        (
            ("model.ais_temperatures",),
            lambda options: options["model.log_z"] != "exact",
            "--model.log_z exact anneals none",
        ),
        (("model.chains",), lambda options: options["model.algorithm"] == "pcd", "only for --model.algorithm pcd"),
        (("model.record_source",), lambda options: options["model.record"] is not None, "only with --model.record"),
    )
    mode = "max"
    mean: Tensor
    pictures: Tensor
    count: Tensor

    def __init__(
        self,
        in_channels: int,
        image_size: list[int],
        binarised: str = "pixels of the data",
        scheme: str = "none",
        pixels_seed: int = 0,
        hidden: int = 500,
        algorithm: Algorithm = "pcd",
        sweeps: int = 1,
        chains: int = 200,
        centre: bool = True,
        lr: float = 0.08,
        momentum: float = 0.0,
        weight_decay: float = 1e-5,
        scale: float = 0.01,
        log_z: Literal["auto", "exact", "ais"] = "auto",
        ais_temperatures: int = 10_000,
        ais_chains: int = 100,
        burn_in: int = 1000,
        record: float | None = None,
        record_source: str = "",
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        check_within(self.hparams, {**RANGES, "hidden": (1, MOST_UNITS), "scale": (0, 1000), "record": (-1e9, 0)})
        visible = in_channels * math.prod(image_size)
        if log_z == "exact":
            check_countable(min(visible, hidden), "--model.log_z exact: the smaller side")
        self.grey = False  # whether all batches of training are drawn: the first one is grey
        self.pixel_generator = torch.Generator()  # draws grey pixels of validation and test
        self.drawn = False  # whether it drew any of the test
        self.exact = log_z != "ais" and countable(visible, hidden)
        counts = self.exact and min(visible, hidden) <= COUNTED_EACH_EPOCH
        self.monitor = "val/log_likelihood" if counts else "val/pseudo_log_likelihood"
        self.rbm = RBM(visible, hidden, scale)
        self.ascent = Ascent(visible, hidden, algorithm, sweeps, chains, centre)
        self.register_buffer("mean", torch.zeros(visible))  # of the training pictures
        self.register_buffer("pictures", torch.zeros(ais_chains, visible))  # where samples of the model start
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))  # training pictures; 0 before the first step
        self.log_partition = 0.0
        self.validation_batches: list[Tensor] = []
        self.test_batches: list[Tensor] = []
        self.judgement: Judgement | None = None
        # Literature draws each pixel with its grey value as the probability; pixels cut at 1/2 are other pictures.
        self.thresholded = scheme == "threshold"

    def full_digits(self) -> AbstractContextManager[None]:
        """Switches autocast off: energies are sums of thousands of terms."""
        return torch.autocast(self.device.type, enabled=False)

    def on_train_start(self) -> None:
        """Looks whether pixels must be drawn: again after a resume."""
        self.grey = grey_in_training(self.trainer.train_dataloader, self.hparams["pixels_seed"])

    def start(self) -> None:
        """Sets biases, offsets and base to the means of the training pictures, once."""
        images = pictures_of(self.trainer.train_dataloader, mixed=True)
        self.mean.copy_(pixel_means(images))
        self.count.fill_(len(images))
        self.pictures.copy_(coin(unit_pixels(images[torch.arange(len(self.pictures)) % len(images)])))
        self.rbm.start_from(self.mean, len(images))
        self.ascent.start_from(self.mean)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """One step up the likelihood."""
        if not self.count:
            self.start()
        with self.full_digits():
            v = unit_pixels(batch[0])  # (N, V)
            v = coin(v) if self.grey or are_grey(v) else v
            climb(self.rbm, self.ascent.gradient(self.rbm, v))
            if batch_idx % LOOK_EVERY == 0:
                gap = self.rbm.free_energy(v).mean() - self.rbm.free_energy(self.ascent.look(self.rbm, v)).mean()
                self.log("train/loss", gap, on_step=False, on_epoch=True, batch_size=len(v))
        optimiser: Any = self.optimizers()
        scheduler: Any = self.lr_schedulers()
        optimiser.step()
        scheduler.step()

    def on_train_epoch_end(self) -> None:
        """Logs the learning rate."""
        optimiser = self.trainer.optimizers[0]
        self.log("lr/weights", float(optimiser.param_groups[0]["lr"]))

    def binary(self, images: Tensor) -> Tensor:
        """Pictures to judge, shape (N, V), of zeros and ones: grey pixels are drawn, the same in every epoch."""
        v = unit_pixels(images)
        if not are_grey(v):
            return v
        self.drawn = True
        return torch.bernoulli(v.cpu(), generator=self.pixel_generator).to(v.device)

    @property
    def overview(self) -> dict[str, dict[str, float | None]]:
        """Theory beside the curves of TensorBoard's overview; see `trainer.contract.Task`."""
        record = self.hparams["record"]
        if self.monitor != "val/log_likelihood":
            return {}
        published = {"theory/log_likelihood_published": record} if record is not None and not self.thresholded else {}
        return {"log_likelihood": {"theory/val_log_likelihood_independent_pixels": None, **published}}

    def on_validation_epoch_start(self) -> None:
        """Counts the states, where they are few."""
        self.pixel_generator.manual_seed(mix_seed(self.hparams["pixels_seed"], 1))
        self.validation_batches = []
        if self.monitor == "val/log_likelihood":
            self.log_partition = float(log_partition(*self.rbm.terms()))

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Likelihood of one batch; where log Z is unknown, the pictures are kept for the end."""
        v = self.binary(batch[0])
        if self.monitor != "val/log_likelihood":
            self.validation_batches.append(v)
            return
        with self.full_digits():
            value = -self.rbm.free_energy(v).mean() - self.log_partition
            floor = independent_pixels(v, base_logits(self.mean, int(self.count)))
        self.log("theory/val_log_likelihood_independent_pixels", floor, on_epoch=True, batch_size=len(v))
        self.log(self.monitor, value, on_epoch=True, batch_size=len(v))

    def on_validation_epoch_end(self) -> None:
        """Pseudo-likelihood of all validation pictures: the same number whenever the weights are the same."""
        if not self.validation_batches:
            return
        v = torch.cat(self.validation_batches)
        self.validation_batches = []
        with self.full_digits():
            pixels = turned_pixels(len(v), v.shape[1], self.hparams["hidden"], mix_seed(self.hparams["pixels_seed"], 3))
            value = pseudo_log_likelihood(v, *self.rbm.terms(), pixels).mean()
        self.log(self.monitor, value, on_epoch=True, batch_size=len(v))

    def on_test_epoch_start(self) -> None:
        """The test pictures are the same in every test."""
        self.pixel_generator.manual_seed(mix_seed(self.hparams["pixels_seed"], 2))
        self.drawn = False

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Keeps the test pictures for the end."""
        self.test_batches.append(self.binary(batch[0]))

    def on_test_epoch_end(self) -> None:
        """Judges the machine on all test pictures."""
        options, v = self.hparams, torch.cat(self.test_batches)
        self.test_batches = []
        scheme = options["binarised"]
        if self.drawn:
            scheme += f" drawn once, seed {options['pixels_seed']}, those of training anew in each batch"
        with self.full_digits():
            self.judgement = judge(
                self.rbm, v, self.pictures, self.mean, int(self.count),
                steps=options["ais_temperatures"] if options["log_z"] != "exact" else None,
                sweeps=options["burn_in"], exact=self.exact, scheme=scheme,
            )  # fmt: skip
        self.log_dict(self.judgement.metrics())

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Plain gradient ascent whose rate falls to 0 along a line: the noise of the chains goes with it."""
        options = self.hparams
        groups = parameter_groups([self.rbm], options["weight_decay"])
        optimiser = torch.optim.SGD(
            groups, lr=options["lr"], momentum=options["momentum"], fused=may_fuse(self.trainer)
        )
        return cycle(optimiser, self.trainer, 0.0, "linear")

    def describe(self) -> str:
        """Sizes of the machine, for the first lines of a run."""
        options, (visible, hidden) = self.hparams, self.rbm.weight.shape
        name = f"{'centred ' if options['centre'] else ''}{options['algorithm'].upper()}-{options['sweeps']}"
        return f"{visible} visible and {hidden} hidden unit{'s' * (hidden > 1)}, {name}, {options['binarised']}"

    def findings(self) -> list[tuple[str, str]]:
        """The result and what stands beside it."""
        assert self.judgement is not None
        record, source = self.hparams["record"], self.hparams["record_source"]
        if record is None or not self.thresholded:
            return self.judgement.findings(record, source)
        text = f"{record:.2f} nats ({source}) are of drawn pixels; these are cut at 1/2, so the two do not compare"
        return [*self.judgement.findings(), ("published", text)]

    def final_metrics(self) -> dict[str, float]:
        """Figures of the test with all digits, and the published one."""
        assert self.judgement is not None
        values, record = self.judgement.metrics(), self.hparams["record"]
        if record is not None and not self.thresholded:
            values["theory/log_likelihood_published"] = record
            values["gap/published"] = self.judgement.log_likelihood - record
        return values

    def figures(self) -> Iterator[tuple[str, Any]]:
        """Filters, samples, and log Z from both sides."""
        from models.energy.board import machine_figures

        assert self.judgement is not None
        size = [self.hparams["in_channels"], *self.hparams["image_size"]]
        yield from machine_figures(self.rbm, self.judgement, size)

    def show(self, writer: Any, step: int) -> list[str]:
        """Histograms of the parameters."""
        for name, parameter in self.rbm.named_parameters():
            writer.add_histogram(f"weights/{name}", parameter.detach(), step)
        return []
