"""What the Trainer costs: everything on (guards, signals, seeds, log, checkpoints) against a loop written by hand.

Both train the same network on the same tensors with the same optimiser, schedule, augmentation and loader, in one
process, in turn. A step is the time from one request for a batch to the next, taken inside the loader, so that it means
the same everywhere. The bare loop keeps no sums and looks at nothing. A third side is Lightning alone, with its own
loop over the batches and all off that it can switch off.

The pictures of MNIST are drawn at random: a step takes as long, and no data is needed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import tempfile
from types import SimpleNamespace
from typing import Any

from bench.child import HERE, require_recipe
from bench.digits import verdict
from bench.harness import SECONDS_HEAD, BenchError, Report, Sample, Side, alternate, paired_ratios, seconds_row, spread
from bench.stopwatch import CLOCKS, Stopwatch, figures

MOST = 1.10
MNIST_RECIPE = "models/cnn-mnist-99.yaml"
ON_CPU: dict[str, Any] = {"accelerator": "cpu", "devices": 1}
PASSES_ON = True  # what stands behind --, to train.py


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--steps", type=int, default=200, help="steps a measurement, at least (default 200)")
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="wall (default), or cpu: time of this process alone, for a machine that is not idle, with one thread",
    )
    parser.add_argument("--only", choices=("digits", "mnist"), help="one of the two sizes (default both)")
    parser.add_argument("--recipe", default=MNIST_RECIPE, help=f"settings of the MNIST size (default {MNIST_RECIPE})")
    parser.add_argument(
        "--profile", type=int, default=0, metavar="N", help="show the N dearest functions of the Trainer's side"
    )


def check(options: argparse.Namespace) -> None:
    """The recipe is there.

    Raises:
        BenchError: With exit status 2.
    """
    if options.steps < 2:
        raise BenchError(f"--steps must be at least 2, got {options.steps}", 2)
    require_recipe(options.recipe)


class Size:
    """One recipe, and the ways to train it.

    Args:
        words: Words for ``train.py`` that name the recipe.
        steps: Steps to measure, at least.
        clock: One of `CLOCKS`.
    """

    def __init__(self, words: list[str], steps: int, clock: str) -> None:
        from data import DATA
        from models import MODELS
        from trainer.command.front import read
        from trainer.command.options import build_parser, parse, wanted_facts
        from trainer.contract import load_class
        from trainer.device import resolve_precision

        request = read(words, MODELS, DATA, HERE / "models")
        task_class, self.data_class = load_class(MODELS[request.model]), load_class(DATA[request.data])
        self.settings, _ = parse(request, build_parser(task_class, self.data_class))
        self.precision: Any = resolve_precision(str(self.settings.trainer.get("precision") or "auto"), "cpu")
        self.random = request.data != "digits"
        self.steps, self.clock = steps, CLOCKS[clock]
        data = self.data()
        facts = data.facts()
        wanted = {name: facts[name] for name in wanted_facts(task_class, self.data_class)}
        self.task = lambda: task_class(**self.settings.model, **wanted)
        per_epoch = len(data.train_dataloader())
        self.epochs = 2 + max(1, -(-steps // per_epoch))  # one to warm up, one to mark the end
        shape = "×".join(map(str, facts["image_size"]))
        self.words = f"{request.model}, {shape}, batches of {data.batch_size}, {per_epoch} steps an epoch"

    def data(self) -> Any:
        """A fresh data module."""
        import torch

        from data.images import Pictures

        data = self.data_class(**self.settings.data)
        if self.random:
            count = max(20, round(self.steps * data.batch_size / (1 - data.val_fraction)))
            draw = torch.Generator().manual_seed(0)
            images = torch.randint(0, 256, (count, 1, 28, 28), generator=draw, dtype=torch.uint8)
            pictures = Pictures(images, torch.arange(count) % len(data.class_names))
            data.read = lambda: {"train": pictures, "test": pictures}
            data.prepare_data = lambda: None
        return data

    def start(self) -> tuple[Any, Any, list[list[float]]]:
        """The same data and first weights for both sides, and the moments to be noted."""
        import torch

        moments: list[list[float]] = []
        data = self.data()
        plain = data.train_dataloader
        data.train_dataloader = lambda: Stopwatch(plain(), moments, self.clock)
        torch.manual_seed(0)
        return self.task(), data, moments

    def trainer(self, _: int = 0) -> Sample:
        """Train with all that ``train.py`` puts around the loop."""
        from trainer.build import fit, make_trainer
        from trainer.folder import RunFolder
        from trainer.run.announcement import layout

        task, data, moments = self.start()
        with tempfile.TemporaryDirectory(prefix="bench-") as root, contextlib.redirect_stdout(io.StringIO()):
            trainer = make_trainer(
                RunFolder.create(root, "cnn", "bench", 0),
                {**self.settings.trainer, "max_epochs": self.epochs, "limit_train_batches": None, **ON_CPU},
                seed=0,
                monitor=task.monitor,
                mode=task.mode,
                layout=layout(task.monitor),
                hparams={**self.settings.model, **self.settings.data},
                house={"model": "cnn", "data": "bench", "recipe": {}, "versions": {}},
            )
            fit(trainer, task, data)
        return figures(moments)

    def alone(self, _: int = 0) -> Sample:
        """Train by Lightning's Trainer as its option ``barebones`` leaves it."""
        from lightning.pytorch import Trainer

        task, data, moments = self.start()
        task.log = task.log_dict = lambda *_, **__: None  # nothing keeps them here, and Lightning would warn of each
        with contextlib.redirect_stdout(io.StringIO()):
            trainer = Trainer(barebones=True, max_epochs=self.epochs, precision=self.precision, **ON_CPU)
            trainer.fit(task, data)
        return figures(moments)

    def bare(self, _: int = 0) -> Sample:
        """Train by hand."""
        import torch
        import torch.nn.functional as F

        task, data, moments = self.start()
        loader, val_loader = data.train_dataloader(), data.val_dataloader()
        task.trainer = SimpleNamespace(estimated_stepping_batches=self.epochs * len(loader), precision="32-true")
        configured = task.configure_optimizers()
        optimiser, scheduler = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
        smoothing = task.hparams["label_smoothing"]
        mixed = torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16-mixed")
        for epoch in range(self.epochs):
            loader.sampler.set_epoch(epoch)
            task.train()
            for images, labels in loader:
                with mixed:
                    loss = F.cross_entropy(task(images), labels, label_smoothing=smoothing)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                scheduler.step()
            task.eval()
            with torch.no_grad():  # in float32, as the Trainer judges
                right = sum(int((task(images).argmax(1) == labels).sum()) for images, labels in val_loader)
            assert right >= 0
        return figures(moments)


def run(options: argparse.Namespace) -> Report:
    """Runs the sides of both sizes."""
    from trainer.process import import_lightning

    import_lightning()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # else it tells at each start what is off
    words = {"digits": ["--model", "cnn"], "mnist": ["-c", str(HERE / options.recipe)]}
    rows: list[list[str]] = []
    notes: list[str] = []
    raw: dict[str, list[Sample]] = {}
    for name in [options.only] if options.only else list(words):
        size = Size([*words[name], *options.passed], options.steps, options.clock)
        ways = {"Trainer": size.trainer, "Lightning alone": size.alone, "bare loop": size.bare}
        sides = [Side(f"{name}, {way}", train, options.repeats, train) for way, train in ways.items()]
        samples = alternate(sides, options.warmup)
        raw |= samples
        ratio = {}
        for tag, label in (("step", "step"), ("step/median", "median step"), ("epoch", "epoch with validation")):
            times = {way: [seconds_of(sample, tag) for sample in samples[f"{name}, {way}"]] for way in ways}
            for way, seconds in times.items():
                ratios = paired_ratios(seconds, times["bare loop"]) if way != "bare loop" else []
                rows.append(seconds_row(f"{name}: {label}, {way}", seconds, ratios))
                if tag == "step" and ratios:
                    ratio[way] = spread(ratios).median
        most = ratio["Trainer"]
        notes.append(
            f"{name}  ratio {most:.3f} a step, target ≤ {MOST:.2f}: {verdict(most <= MOST)}; Lightning alone "
            f"{ratio['Lightning alone']:.3f} ({size.words})"
        )
        if options.profile:
            notes.append(profile(size, options.profile))
    notes.append(
        "An epoch of the Trainer also measures, logs and writes checkpoints; the bare loop counts right answers."
    )
    return Report(f"overhead: {options.steps} steps or more, in one process", [(SECONDS_HEAD, rows)], notes, raw)


def seconds_of(sample: Sample, tag: str) -> float:
    """The mean step of a sample, or one of its figures."""
    return sample.seconds if tag == "step" else sample.figures[tag]


def profile(size: Size, count: int) -> str:
    """The dearest functions of the Trainer's side by their own time; the profiler itself slows small functions most."""
    import cProfile
    import pstats

    profiler = cProfile.Profile()
    profiler.runcall(size.trainer)
    text = io.StringIO()
    pstats.Stats(profiler, stream=text).sort_stats("tottime").print_stats(count)
    return text.getvalue().strip()
