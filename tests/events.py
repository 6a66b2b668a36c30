"""What TensorBoard's files of a run hold."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

EVERYTHING = {"scalars": 0, "histograms": 0, "tensors": 0, "images": 0}


def copy_events(folder: Path, to: Path) -> None:
    """Event files under names that TensorBoard reads in the order in which they were written.

    It sorts by name. A name ends with the second and with the number of the process's log, and of one second the tenth
    would come before the ninth: no run has so many, but a process of many tests has.
    """
    name = re.compile(r"events\.out\.tfevents\.(\d+)\..*\.(\d+)")
    found = [(name.fullmatch(file.name), file) for file in folder.glob("events.*")]
    for match, file in found:
        assert match
        shutil.copy(file, to / f"events.out.tfevents.{match[1]}.{int(match[2]):06d}")


def events_of_run(folder: Path) -> EventAccumulator:
    """All that was logged, nothing thinned out."""
    with tempfile.TemporaryDirectory() as place:
        copy_events(folder, Path(place))
        return EventAccumulator(place, size_guidance=EVERYTHING).Reload()


def overview_of(events: EventAccumulator) -> dict[str, list[str]]:
    """Patterns of each chart of the Custom Scalars tab, of which TensorBoard shows the last layout."""
    *_, config = events.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(config.tensor_proto.string_val[0])
    return {chart.title: list(chart.multiline.tag) for category in layout.category for chart in category.chart}


def missing_tags(events: EventAccumulator) -> list[str]:
    """Patterns of the overview that TensorBoard would mark by "! Missing Tags"."""
    tags = events.Tags()["scalars"]
    patterns = [pattern for group in overview_of(events).values() for pattern in group]
    return [pattern for pattern in patterns if not any(re.match(pattern, tag) for tag in tags)]


def steps_that_do_not_rise(events: EventAccumulator) -> list[str]:
    """Scalars with two values at one step, or an earlier step after a later one."""
    steps = {tag: [event.step for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    return [tag for tag, own in steps.items() if own != sorted(set(own))]
