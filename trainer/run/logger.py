"""TensorBoard as a run needs it: resumable, with one HPARAMS row, and never a reason to stop training.

Every writer gets a ``purge_step``, 0 at the first start too: TensorBoard purges only from the second session start of a
run on. Of the HPARAMS summaries only the session start is written: one experiment summary in any run would fix the
table's columns for all of them.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from functools import wraps
from typing import TYPE_CHECKING, Any

import torch
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.writer import FileWriter

from dashboard.layout import Layout, logged
from trainer.folder import RunFolder
from trainer.notice import notice
from trainer.run.history import History

if TYPE_CHECKING:
    from trainer.command.front import Request
    from trainer.command.options import Settings

FLUSH_SECONDS = 10
TRAINING = ("max_epochs", "precision", "accumulate_grad_batches", "gradient_clip_val", "limit_train_batches")
LAST_OF_AN_EPOCH = "time/epoch_s"  # comes with all that is logged at an epoch's end, after its validation


def showable(text: str) -> str:
    """A text that TensorBoard can hold: bytes of a file name that are not UTF-8 are shown as escapes."""
    return text.encode(errors="backslashreplace").decode()


def hparams_row(settings: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """Settings as one flat row: nested keys joined by a dot, None left out, lists as text.

    A column that mixes None, lists or words with numbers hides runs in TensorBoard. So a learning rate that is still
    to be found (``auto``) is left out; what was found is in the scalars.
    """
    row: dict[str, bool | int | float | str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            row.update(hparams_row(value, f"{prefix}{name}."))
        elif value is not None and (name.rpartition(".")[2], value) != ("lr", "auto"):
            row[f"{prefix}{name}"] = value if isinstance(value, bool | int | float) else showable(str(value))
    return row


def chosen(request: Request, settings: Settings) -> dict[str, Any]:
    """What tells runs apart in TensorBoard's table: names, options, seed, and what the Trainer makes of them.

    All runs share the table, so each option bears its group: one model has a ``scale``, the data of another have one.
    """
    names = {"model": request.model, "data": request.data, "seed_everything": settings.seed}
    groups = {
        "model": settings.model,
        "data": settings.data,
        "trainer": {name: settings.trainer.get(name) for name in TRAINING},
    }
    options = {f"{group}.{name}": value for group, values in groups.items() for name, value in values.items()}
    return {**names, **options, "early_stopping.patience": settings.patience}


class _HardyFile:
    """An event file whose errors of the disk end the log, not the run.

    Args:
        file: What TensorBoard writes to, from a thread of its own; None when it could not even be opened.
        folder: For the warning.
    """

    def __init__(self, file: Any, folder: str) -> None:
        self._file = file
        self._folder = folder
        self.closed = False

    def give_up(self, error: OSError) -> None:
        """Say it once; everything later is dropped."""
        if self._file is not None:
            notice(f"warning: cannot log to {self._folder} any more ({error.strerror or error}); training goes on")
        self._file = None

    def _try(self, method: str, *arguments: Any) -> None:
        if self._file is not None:
            try:
                getattr(self._file, method)(*arguments)
            except OSError as error:
                self.give_up(error)

    def write(self, data: bytes) -> None:
        """Write a record."""
        self._try("write", data)

    def flush(self) -> None:
        """Hand everything to the system."""
        self._try("flush")

    def close(self) -> None:
        """Close the file."""
        self._try("close")
        self.closed = True


class _NoEvents:
    """Stands in for an event writer that could not be opened."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def _noted(kind: str, add: Callable[..., None]) -> Any:
    """A method of ``SummaryWriter`` that keeps the tag which it wrote."""

    @wraps(add)
    def adding(writer: HardyWriter, tag: str, *arguments: Any, **keywords: Any) -> None:
        add(writer, tag, *arguments, **keywords)
        writer.written[kind].add(tag)

    return adding


class HardyWriter(SummaryWriter):
    """A ``SummaryWriter`` that survives a full disk, and histograms of nothing or of NaN, and keeps what it wrote.

    Attributes:
        written: Tags by what TensorBoard calls their kind.
    """

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self.written: defaultdict[str, set[str]] = defaultdict(set)
        super().__init__(*arguments, **keywords)

    add_scalar = _noted("scalars", SummaryWriter.add_scalar)
    add_image = _noted("images", SummaryWriter.add_image)
    add_pr_curve = _noted("pr_curves", SummaryWriter.add_pr_curve)
    add_histogram_raw = _noted("histograms", SummaryWriter.add_histogram_raw)

    def add_graph(self, *arguments: Any, **keywords: Any) -> None:
        """The network."""
        super().add_graph(*arguments, **keywords)
        self.written["graphs"].add("")

    def _get_file_writer(self) -> Any:
        if self.file_writer is None:
            try:
                records = super()._get_file_writer().event_writer._async_writer._writer
                records._writer = _HardyFile(records._writer, str(self.log_dir))
            except OSError as error:  # already full when the file was to be made
                _HardyFile(self, str(self.log_dir)).give_up(error)
                silent: Any = FileWriter.__new__(FileWriter)
                silent.event_writer = _NoEvents()
                vars(self).update(file_writer=silent, all_writers={str(self.log_dir): silent})
        return self.file_writer

    def add_histogram(self, tag: str, values: Any, *arguments: Any, **keywords: Any) -> None:
        """Skip a tensor that is empty or not finite: the first raises, the second breaks the browser's chart."""
        tensor = torch.as_tensor(values)
        if tensor.numel() and bool(torch.isfinite(tensor).all()):
            super().add_histogram(tag, values, *arguments, **keywords)
            self.written["histograms"].add(tag)

    def add_text(self, tag: str, text_string: str, *arguments: Any, **keywords: Any) -> None:
        """Any file name may stand in the text."""
        super().add_text(tag, showable(text_string), *arguments, **keywords)
        self.written["text"].add(tag)

    def add_embedding(self, *arguments: Any, **keywords: Any) -> None:
        """The projector writes files of its own; a full disk must not stop it either.

        A run that goes on writes those of the same step anew, which TensorBoard would doubt on standard output.
        """
        try:
            with redirect_stdout(io.StringIO()):
                super().add_embedding(*arguments, **keywords)
            self.written["projector"].add("")
        except OSError as error:
            notice(f"warning: no projector in {self.log_dir} ({error.strerror or error})")


class RunLogger(TensorBoardLogger):
    """Writes into the run folder itself.

    Args:
        run: The run folder.
        hparams: Settings for the HPARAMS table, nested or flat.
        layout: Layout of the Custom Scalars tab, as ``SummaryWriter.add_custom_scalars`` takes it. Of it is written
            what is logged, since TensorBoard marks any other tag as missing: after the first epoch, and again after one
            that brought a further curve. TensorBoard shows the last.
        resume_step: First step to be logged again after a resume; None at the first start.
    """

    def __init__(
        self,
        run: RunFolder,
        hparams: Mapping[str, Any],
        layout: Layout | None = None,
        resume_step: int | None = None,
    ) -> None:
        super().__init__(str(run.path.parent), name="", version=run.path.name, default_hp_metric=False)
        self._folder = run.path
        self._row = hparams_row(hparams)
        self._layout = layout
        self._resume_step = resume_step
        self._history = History(run.history, resumed=resume_step is not None)
        self._tags = {tag for row in self._history.rows.values() for tag in row}
        self._news: set[str] = set()  # tags that were first logged in this epoch
        # Where the first epoch ended before a resume, the layout was written with what had been logged; curves of
        # single steps are not in the history, so that it may be written once more as it was.
        self._shown = logged(layout, self._tags) if layout and LAST_OF_AN_EPOCH in self._tags else None

    @property
    def log_dir(self) -> str:
        """The run folder; Lightning would expand ``~`` and ``$`` in its name."""
        return str(self._folder)

    @property
    @rank_zero_experiment
    def experiment(self) -> SummaryWriter:
        """The writer; the first one of a run also writes its HPARAMS row."""
        if self._experiment is None:
            first = self._resume_step is None
            self._experiment = HardyWriter(self.log_dir, purge_step=self._resume_step or 0, flush_secs=FLUSH_SECONDS)
            if first:
                self._introduce(self._experiment)
        return self._experiment

    def _introduce(self, writer: SummaryWriter) -> None:
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb

        if self._row:
            # Without a name of its own, TensorBoard joins runs of equal settings into one row.
            name = showable("/".join(self._folder.parts[-2:]))
            writer._get_file_writer().add_summary(hparams_pb(self._row, trial_id=name))

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Scalars of one step; the number of the epoch, which Lightning adds at every epoch's end, names the row."""
        scalars = {tag: value for tag, value in metrics.items() if tag != "epoch"}
        super().log_metrics(scalars, step)
        self._news |= scalars.keys() - self._tags
        if LAST_OF_AN_EPOCH in scalars and self._layout is not None and self._news:
            self._tags |= self._news
            self._news = set()
            if (shown := logged(self._layout, self._tags)) != self._shown:
                self.experiment.add_custom_scalars(shown)
                self._shown = shown
        if "epoch" in metrics:
            self._history.add(int(metrics["epoch"]), scalars)
        if LAST_OF_AN_EPOCH in scalars:
            self._history.complete()

    @rank_zero_only
    def log_hyperparams(self, *arguments: Any, **keywords: Any) -> None:
        """Nothing: the row is written once, by :attr:`experiment`."""

    @rank_zero_only
    def save(self) -> None:
        """Flush; Lightning would also write ``hparams.yaml``, which ``config.yaml`` says better."""
        self.experiment.flush()

    def shown(self) -> dict[str, list[str]]:
        """What this process has written: tags by their kind, and under ``overview`` the expressions of its charts.

        Graph and projector have no tags of their own; each is one empty name.
        """
        written = getattr(self.experiment, "written", {})
        charts = [
            pattern for charts in (self._shown or {}).values() for _, group in charts.values() for pattern in group
        ]
        return {**{kind: sorted(tags) for kind, tags in sorted(written.items())}, "overview": charts}

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Flush and close; a later test opens another file."""
        self._history.close()
        if self._experiment is not None:
            self._experiment.close()
