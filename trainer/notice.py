"""What the trainer says to the user, and what it keeps from being said.

Notices go to stderr, so that stdout holds results only. Lightning's advertising and the advice that does not apply to
resident tensors are filtered; warnings of this project never are.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings

# Lightning's advertising, and what a run says in its own words: device, files, stopping by a signal.
_LOG_NOISE = (
    "💡 Tip",
    "litlogger",
    "litmodels",
    "GPU available",
    "TPU available",
    "HPU available",
    "LOCAL_RANK",
    "Automatic Mixed Precision (AMP)",  # the run's head says its precision
    "has Tensor Cores",  # bf16-mixed uses them
    "Restoring states from",
    "Restored all states",
    "Loaded model weights",
    "to estimate number of stepping batches",
    "`Trainer.fit` stopped",
    "returned in `LightningModule.configure_callbacks` will override",  # a task adds callbacks, and means to
)

# Beginnings (regular expressions) of third-party warnings that no user of this project can act on.
_WARNING_NOISE = (
    r".*does not have many workers",  # batches are sliced from resident tensors
    r"The number of training batches .* is smaller than the logging interval",  # the interval is set from it
    r".*Total length of .* across ranks is zero",  # LoaderGuard refuses it in plain words
    r"Found \d+ module\(s\) in eval mode at the start of training",  # frozen backbones stay in eval mode
    r"`LightningModule\.configure_optimizers` returned `None`",  # tasks that update their weights by hand
    r".*isinstance\(treespec, LeafSpec\).* is deprecated",
    r".*torch\.jit.* is deprecated",
    r".*functional\.all_gather is deprecated",  # Lightning's, with several processes
)


class _NoAdvertising(logging.Filter):
    """Drops records that begin with, or advertise, what ``_LOG_NOISE`` lists."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record may pass."""
        message = record.getMessage()
        return not any(noise in message for noise in _LOG_NOISE)


def quieten() -> None:
    """Filter third-party noise; calling it again changes nothing."""
    for name in ("utilities.rank_zero", "accelerators.cuda"):
        for package in ("lightning.pytorch", "lightning.fabric"):
            logger = logging.getLogger(f"{package}.{name}")
            if not any(isinstance(existing, _NoAdvertising) for existing in logger.filters):
                logger.addFilter(_NoAdvertising())
    for pattern in _WARNING_NOISE:
        warnings.filterwarnings("ignore", message=pattern)


def notice(text: str) -> None:
    """One line on stderr, at once."""
    print(text, file=sys.stderr, flush=True)


def notice_of_signal(text: str) -> None:
    """One line on stderr from a signal's handler.

    The handler may have come in the middle of a write to stderr, another handler's among them, and Python's buffers
    refuse a second one then (RuntimeError: reentrant call): these bytes go around them.
    """
    with contextlib.suppress(OSError):  # stderr is closed: nobody reads, and the run stops all the same
        os.write(2, f"{text}\n".encode())
