"""A checkpoint that is written while a validation is due: a resume repeats that validation from its first batch."""

from __future__ import annotations

from typing import Any

_PROGRESS = "epoch_loop.val_loop.batch_progress"
_NOTHING = {"ready": 0, "started": 0, "processed": 0, "completed": 0}
_BEGUN = {**_NOTHING, "ready": 1, "started": 1}


def leave_validation_pending(checkpoint: dict[str, Any]) -> None:
    """Mark the validation as begun with no batch done: then Lightning runs all of it after the resume."""
    progress = {"total": dict(_BEGUN), "current": dict(_NOTHING), "is_last_batch": False}
    checkpoint["loops"]["fit_loop"][_PROGRESS] = progress


def validation_pending(checkpoint: dict[str, Any]) -> bool:
    """Whether a checkpoint was marked so."""
    progress = checkpoint.get("loops", {}).get("fit_loop", {}).get(_PROGRESS, {})
    return progress.get("total") == _BEGUN and progress.get("current") == _NOTHING
