"""TensorBoard as a run needs it: resumable, with one HPARAMS row, and never a reason to stop training.

Every writer gets a ``purge_step``, 0 at the first start too: TensorBoard purges only from the second session start of a
run on. Of the HPARAMS summaries only the session start is written: one experiment summary in any run would fix the
table's columns for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.tensorboard import SummaryWriter

from trainer.folder import RunFolder
from trainer.notice import notice

FLUSH_SECONDS = 10


def hparams_row(settings: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """Settings as one flat row: nested keys joined by a dot, None left out, lists as text.

    A column that mixes None or lists with numbers hides runs in TensorBoard.
    """
    row: dict[str, bool | int | float | str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            row.update(hparams_row(value, f"{prefix}{name}."))
        elif value is not None:
            row[f"{prefix}{name}"] = value if isinstance(value, bool | int | float | str) else str(value)
    return row


class _Unbreakable:
    """An event writer whose errors of the disk end the log, not the run.

    Args:
        writer: TensorBoard's ``EventFileWriter``; it writes in a thread and raises at the next call.
        folder: For the warning.
    """

    def __init__(self, writer: Any, folder: str) -> None:
        self._writer = writer
        self._folder = folder
        self._broken = False

    def _try(self, method: str, *arguments: Any) -> None:
        if self._broken:
            return
        try:
            getattr(self._writer, method)(*arguments)
        except OSError as error:
            self._broken = True
            notice(f"warning: cannot log to {self._folder} any more ({error.strerror or error}); training goes on")

    def add_event(self, event: Any) -> None:
        """Queue an event."""
        self._try("add_event", event)

    def flush(self) -> None:
        """Write what is queued."""
        self._try("flush")

    def close(self) -> None:
        """Write what is queued, and close the file."""
        self._try("close")

    def reopen(self) -> None:
        """TensorBoard opens a closed writer again."""
        self._try("reopen")

    def get_logdir(self) -> str:
        """Folder of the events."""
        return self._folder


class HardyWriter(SummaryWriter):
    """A ``SummaryWriter`` that survives a full disk, and histograms of nothing or of NaN."""

    def _get_file_writer(self) -> Any:
        file_writer = super()._get_file_writer()
        if not isinstance(file_writer.event_writer, _Unbreakable):
            file_writer.event_writer = _Unbreakable(file_writer.event_writer, str(self.log_dir))
        return file_writer

    def add_histogram(self, tag: str, values: Any, *arguments: Any, **keywords: Any) -> None:
        """Skip a tensor that is empty or not finite: the first raises, the second breaks the browser's chart."""
        tensor = torch.as_tensor(values)
        if tensor.numel() and bool(torch.isfinite(tensor).all()):
            super().add_histogram(tag, values, *arguments, **keywords)

    def add_embedding(self, *arguments: Any, **keywords: Any) -> None:
        """The projector writes files of its own; a full disk must not stop it either."""
        try:
            super().add_embedding(*arguments, **keywords)
        except OSError as error:
            notice(f"warning: no projector in {self.log_dir} ({error.strerror or error})")


class RunLogger(TensorBoardLogger):
    """Writes into the run folder itself.

    Args:
        run: The run folder.
        hparams: Settings for the HPARAMS table, nested or flat.
        layout: Layout of the Custom Scalars tab, as ``SummaryWriter.add_custom_scalars`` takes it.
        resume_step: First step to be logged again after a resume; None at the first start.
    """

    def __init__(
        self,
        run: RunFolder,
        hparams: Mapping[str, Any],
        layout: dict[str, Any] | None = None,
        resume_step: int | None = None,
    ) -> None:
        super().__init__(str(run.path.parent), name="", version=run.path.name, default_hp_metric=False)
        self._folder = run.path
        self._row = hparams_row(hparams)
        self._layout = layout
        self._resume_step = resume_step

    @property
    def log_dir(self) -> str:
        """The run folder; Lightning would expand ``~`` and ``$`` in its name."""
        return str(self._folder)

    @property
    @rank_zero_experiment
    def experiment(self) -> SummaryWriter:
        """The writer; the first one of a run also writes its HPARAMS row and its layout."""
        if self._experiment is None:
            first = self._resume_step is None
            self._experiment = HardyWriter(self.log_dir, purge_step=self._resume_step or 0, flush_secs=FLUSH_SECONDS)
            if first:
                self._introduce(self._experiment)
        return self._experiment

    def _introduce(self, writer: SummaryWriter) -> None:
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb

        if self._row:
            writer._get_file_writer().add_summary(hparams_pb(self._row))
        if self._layout:
            writer.add_custom_scalars(self._layout)

    @rank_zero_only
    def log_hyperparams(self, *arguments: Any, **keywords: Any) -> None:
        """Nothing: the row is written once, by :attr:`experiment`."""

    @rank_zero_only
    def save(self) -> None:
        """Flush; Lightning would also write ``hparams.yaml``, which ``config.yaml`` says better."""
        self.experiment.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Flush and close; a later test opens another file."""
        if self._experiment is not None:
            self._experiment.close()


def event_files(folder: Path) -> list[Path]:
    """TensorBoard's files of a run, oldest first."""
    return sorted(folder.glob("events.out.tfevents.*"))
