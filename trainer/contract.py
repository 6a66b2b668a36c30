"""What a task and its data tell the house: the methods each must have, and what else it may offer.

The house knows no model. It asks for what is listed here, by these names and no others: `offered` refuses any other.
What the models ask of data and loaders, without knowing either, stands under `Data` and `Loader`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, Protocol

from trainer.errors import UserError

# By name: what holds for a task or data module that does not offer it; None for a method that it does not have.
OPTIONAL: dict[str, Any] = {
    "CHECKPOINTS": {},
    "CONDITIONS": (),
    "FACTS": (),
    "FROM_DATA": (),
    "HELD": {},
    "PLACES": (),
    "augmentation": "",
    "begin_with": None,
    "check": None,
    "classifies": False,
    "confusion": None,
    "draws_views": None,
    "failure": "",
    "fingerprints": None,
    "fixed_features": False,
    "idle": {},
    "judges_validation": False,
    "labels": None,
    "lineage": None,
    "make_room": None,
    "mirrors": False,
    "only_single": False,
    "outputs": None,
    "overview": {},
    "paths": None,
    "preprocessing": None,
    "reads_labels": True,
    "recalls": None,
    "save_files": None,
    "save_split": None,
    "seen_before": None,
    "tolerates_mixed_precision": False,
    "top_losses": None,
    "validates": None,
    "view_scheme": 0,
    "wanted_pictures": None,
    "weighs_classes": False,
    "weights_file": None,
    "weights_origin": None,
}


METHODS = ("describe", "findings", "final_metrics", "figures", "show")  # of `Task`


def load_class(path: str) -> type:
    """Imports ``package.module.Class`` by its dotted path."""
    module, _, name = path.rpartition(".")
    found: type = getattr(importlib.import_module(module), name)
    return found


def offered(owner: Any, name: str) -> Any:
    """What a task or data module, or the class of one, offers under a name of `OPTIONAL`, else what holds without it.

    Raises:
        KeyError: If there is no such name.
    """
    return getattr(owner, name, OPTIONAL[name])


def check_task(task: Any, model: str) -> None:
    """Refuses, before the training, a task without what each must have.

    Args:
        task: It.
        model: What the user calls it.

    Raises:
        UserError: Naming what is missing.
    """
    wrong = f"--model {model}: {type(task).__name__}"
    missing = [name for name in ("monitor", "mode") if not isinstance(getattr(task, name, None), str)]
    missing += [name for name in METHODS if not callable(getattr(task, name, None))]
    if missing:
        raise UserError(f"{wrong} has no {', '.join(missing)}, which each model has: see docs/your-own-model.md")
    if task.mode not in ("max", "min"):
        raise UserError(f"{wrong}: mode must be 'max' or 'min', got {task.mode!r}")


class Task(Protocol):
    """What a LightningModule of the house has beside Lightning's own methods.

    Attributes:
        monitor: Tag of the metric that chooses ``best.ckpt``.
        mode: ``max`` or ``min``.

    These its class may offer, which is asked before there is a task:

    * ``CONDITIONS``: options that are read only with certain others, see `trainer.command.idle`: a run that would not
      read what was given is refused.
    * ``FROM_DATA``: names of arguments that only some data answer. They have defaults, and are no options.
    * ``PLACES``: options that may name a file or a folder; where there is one, the whole path is kept.
    * ``CHECKPOINTS``: options that may name a file of weights, or a folder whose checkpoint is meant, each with the
      words that are no file, such as ``{"weights": ("default", "none")}``.
    * ``HELD``: options that stand back when a run goes on, since its checkpoint holds what they would bring, and what
      they are then, such as ``{"weights": "none"}``.
    * ``check``: class method of the options of the task; refuses by a ValueError what is wrong without the data.
    * ``wanted_pictures``: class method of the options of the task → options of the data (``image_size``, …) that are
      taken where they are None.
    * ``draws_views``: class method of the options of the task: whether it learns from augmented views. The data are
      told, so that they prepare each training picture in that form alone.
    * ``weights_file``: class method of the options of the task → the file of weights that it begins with, or None. It
      need not be there any more, and options of an older version may lack names.
    * ``reads_labels``: False when it learns from pictures alone. The data are told: a folder of one class, or without
      folders, is enough then.
    * ``weighs_classes``: True when it heeds ``--data.balance loss``. Any other task refuses that.
    * ``judges_validation``: True when it reports the validation pictures of data that have no test pictures. For any
      other task such data are refused; and for this one data that have neither, unless it ``classifies``: a
      classifier is of use unmeasured.
    * ``classifies``: True when ``predict.py`` can name pictures with this task's checkpoints: its ``forward`` gives
      logits of prepared pictures, or ``outputs(images, views)`` features and logits. For its model card and its tables
      it may offer ``weights_origin() -> str`` (one sentence with the licence), ``top_losses(limit)``: the split that
      was judged, and (number, class, guess, probability, loss) of its worst pictures, ``recalls()``: (found, of) by
      class, and ``confusion()``: for each true class how often each was guessed, or None.

    These the task itself may offer, or its class where they are always the same:

    * ``tolerates_mixed_precision``: True when ``--trainer.precision auto`` may take bfloat16, because the figures are
      accuracies. Numbers beside exact ones need the digits of float32.
    * ``only_single``: True when it draws in float32 whatever its weights are, so that there is no double precision.
    * ``augmentation``: words for what its training does to the pictures beside the augmentation of the data.
    * ``fixed_features``: True when it learns from features that stay as they are, in one go.
    * ``overview``: chart → tag → number or None: curves of TensorBoard's overview beside loss and monitor, such as
      ``{"loss": {"theory/chance_loss": 2.3}}``. A number is drawn as a line over all epochs; None stands for a tag that
      the task logs itself.
    * ``failure``: one line when the run did not show what it set out to show, such as a descent that diverged. All is
      reported as usual, then the line goes to stderr and the exit status is 1.

    A module inside the task may offer ``make_room(state, prefix)``: takes the size of the weights that a run goes on
    with, where its own depends on what was learnt; ``prefix`` is how their names begin.
    """

    monitor: str
    mode: str

    def describe(self) -> str:
        """One line: sizes of the model."""

    def findings(self) -> list[tuple[str, str]]:
        """Name and text of each line of the result, the first being the main one, with the theory beside it."""

    def final_metrics(self) -> dict[str, float]:
        """Tags of the result: ``test/…``, ``theory/…``, ``gap/…``."""

    def figures(self) -> Iterator[tuple[str, Any]]:
        """Name and matplotlib figure of everything worth drawing."""

    def show(self, writer: Any, step: int) -> list[str]:
        """Writes what TensorBoard has pages of its own for; returns what could not be shown."""


class Data(Protocol):
    """What a LightningDataModule of the house has beside Lightning's own methods.

    It may offer:

    * ``FACTS``, of the class: names of the arguments of a task that ``facts()`` answers, by name; they are no options.
    * ``CONDITIONS``, of the class, as those of a task.
    * ``idle``: options that the pictures, once read, leave nothing to do for, and why.
    * ``preprocessing()``: how a picture is prepared, for the checkpoint and ``predict.py``; it goes with
      ``labels(split)``, the class of each sample, and ``paths(split)``, the files, where there are any.
    * ``mirrors``: whether training sees mirror images, which are then views for ``predict.py --tta``.
    * ``view_scheme``: number of the way in which views are drawn, which a resumed run must not change unsaid.
    * ``fingerprints()``: a digest of the pictures of each part and of their labels, see `trainer.fit.resume`.
    * ``begin_with(file, before, files_csv, pictures)``: told before the files are read what the weights of a file have
      learnt from, see `data.files.lineage.Heir`; then ``lineage()`` is what checkpoints hold of it, and
      ``seen_before()`` how many pictures of "val" and "test" are among them, as far as it is known.
    * ``validates()``: whether there will be samples to validate on, as far as that is known before they are read.
    * ``save_split(file)`` and ``save_files(file)``: write the split, and what each file is, as CSV.

    Models may ask for these too, and do without where they are missing:

    * ``balance``: choice of ``--data.balance``.
    * ``plain(split)``: pictures as validation sees them, uint8, shape (N, C, H, W), in the order of ``labels(split)``.
    * ``units(split)``: for each of them the number of what it belongs to, such as a patient, int64, shape (N,).
    """

    def summary(self) -> dict[str, Any]:
        """Name, source, shape, classes if there are any, and under ``splits`` the number of samples of each part."""


class Loader(Protocol):
    """What a loader of the house has beside its batches (`data.batches.loader`); a model does without where it can.

    It may offer:

    * ``images`` and ``labels``: all samples, shape (N, ...), and the class of each, shape (N,). With ``augment``,
      images are what that makes batches of: pixels, larger ones, or only numbers of pictures.
    * ``augment``: None, or a function of a batch and its random numbers, ``draws(epoch, batch, numbers)``.
    * ``shuffle``: whether epochs have orders of their own.
    * ``batch_size``, ``sampler`` and ``position``: samples of a step, which epoch it is, and batches given so far.
    * ``views(count, shuffle)``: batches of all samples, ``count`` times over, augmented afresh.
    * ``from_the_start()``: the same loader at the first batch of its epoch, whatever position it was set to.
    * ``last_numbers()``: which samples the batch handed out last held.
    """

    def __len__(self) -> int:
        """Number of batches of an epoch."""

    def __iter__(self) -> Iterator[Any]:
        """The batches."""
