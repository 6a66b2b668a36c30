"""Tables and values of the pages that a run writes, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dashboard.bands import bands_note
from trainer.contract import offered


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
    )


def data_rows(data: Any, task: Any) -> list[tuple[str, str]]:
    """What a page says of the data: their summary, and which channels its figures show.

    Args:
        data: Offers ``summary``.
        task: Offers ``augmentation``, where it changes the pictures of a batch further.
    """
    preprocessing = offered(data, "preprocessing")
    channels = preprocessing().get("channels", 3) if preprocessing else 3
    summary, further = data.summary(), offered(task, "augmentation")
    if further:
        summary["augmentation"] = "; ".join(part for part in (summary.get("augmentation"), further) if part)
    return described({**summary, "figures show": bands_note(channels)})


def described(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and texts of those values that are not empty."""
    return [(name, describe(value)) for name, value in values.items() if value not in ([], "", None)]


def describe(value: Any) -> str:
    """A value of the data's summary as text; a long list by its first twenty."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {describe(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        shown = ", ".join(str(item) for item in value[:20])
        return shown + (f" and {len(value) - 20} more" if len(value) > 20 else "")
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
