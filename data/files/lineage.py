"""What weights from a file have learnt from, run by run back to the first one, and whether a new run judges by it.

A run that begins with the checkpoint of an earlier one inherits what that one has learnt: its training pictures, and
those of the runs before it. Under another seed, in another fold, with other labels or in another place some of them are
validation or test pictures of the new run, whose figures they flatter. So each checkpoint of such a run holds the
digests of all that its weights had learnt from before (`record`), and the next one adds the list of the run in between.
Pictures are compared by the bytes of their files, as in `data.files.learnt`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.files.learnt import LEARNT, learnt_from

DIGITS = 16  # of a SHA-256 that are kept: among a million files two are mistaken with a probability of 3e-8


@dataclass(frozen=True)
class Lineage:
    """What weights have learnt from.

    Attributes:
        complete: Whether that is all of it; else there is more, of which nothing is known.
        train: First digits of the SHA-256 of each file that they were trained on.
        val: The same of those that they were validated on, by which an epoch may have been chosen.
    """

    complete: bool = False
    train: frozenset[str] = frozenset()
    val: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        """How many files that are."""
        return len(self.train | self.val)

    def seen(self, digests: Sequence[str]) -> tuple[int, int]:
        """How many files were trained on, and how many of the others validated on.

        Args:
            digests: SHA-256 of each file.
        """
        keys = [digest[:DIGITS] for digest in digests]
        return sum(key in self.train for key in keys), sum(key in self.val - self.train for key in keys)


NOTHING = Lineage(complete=True)  # of weights that came from no file, as far as a user's pictures go


def record(lineage: Lineage) -> dict[str, Any]:
    """A lineage as plain values for a checkpoint: 16 bytes a file."""
    texts = {part: "".join(sorted(getattr(lineage, part))) for part in LEARNT}
    return {"complete": lineage.complete, **texts}


def read_record(stored: Any) -> Lineage:
    """What `record` wrote; of anything else nothing is known."""
    try:
        parts = [stored[part] for part in LEARNT]
        keys = [frozenset(text[at : at + DIGITS] for at in range(0, len(text), DIGITS)) for text in parts]
        return Lineage(stored["complete"] is True, *keys)
    except (KeyError, TypeError, IndexError):
        return Lineage()


def with_run(before: Lineage, files_csv: Path, pictures: Mapping[str, str]) -> Lineage:
    """A lineage and the run that went on from there.

    Args:
        before: What that run's weights had learnt from when it began.
        files_csv: The list in its folder.
        pictures: Digest of each part, as its checkpoint has them; see `data.files.learnt.learnt_from`.
    """
    own = learnt_from(files_csv, pictures)
    train, val = (frozenset(digest[:DIGITS] for digest in own.get(part, ())) for part in LEARNT)
    return Lineage(before.complete and bool(own), before.train | train, before.val | val)


def seen_text(lineage: Lineage, digests: Sequence[str]) -> str:
    """How many of the judged files a classifier has learnt from.

    Args:
        lineage: All that its weights have learnt from, not empty or not complete.
        digests: SHA-256 of each judged file.
    """
    trained, validated = lineage.seen(digests)
    if not trained and not validated:
        known = f"none of these files is among the {lineage.size} that it was trained or validated on"
        unknown = "what its weights, which come from a file, have learnt from is not known"
        rest = f"; {known.replace('it was', 'it is known to have been')}" * (lineage.size > 0)
        return known if lineage.complete else f"{unknown}{rest}"
    least = "" if lineage.complete else "at least "
    parts = [f"trained on {least}{trained}"] * bool(trained) + [f"validated on {least}{validated}"] * bool(validated)
    return f"it was {' and '.join(parts)} of these {len(digests)} files, which flatters it"


class Heir:
    """The part of a data module of files that knows what the weights of its run have learnt from before.

    Attributes:
        begun_with: The file of weights; empty where the run begins without one.
        inherited: What these have learnt from.
    """

    begun_with = ""
    inherited: Lineage = NOTHING
    _seen: dict[str, int]

    def begin_with(
        self, file: str, before: Any, files_csv: Path | None = None, pictures: Mapping[str, str] | None = None
    ) -> None:
        """Told before the files are read: the run begins with weights from a file.

        Args:
            file: Its name.
            before: What its checkpoint, or that of the run that goes on, holds of a lineage.
            files_csv: List of the run that wrote the file; None where ``before`` has that run too.
            pictures: Digest of each part of that run.
        """
        lineage = NOTHING if before is None else read_record(before)
        self.begun_with = file
        self.inherited = lineage if files_csv is None else with_run(lineage, files_csv, pictures or {})

    def lineage(self) -> dict[str, Any] | None:
        """What the run's checkpoints hold of it; None where the run begins without a file."""
        return record(self.inherited) if self.begun_with else None

    def seen_before(self) -> dict[str, int]:
        """By part how many of the pictures to judge by the weights have learnt from; without parts not known of."""
        return dict(self._seen) if self.begun_with else {}

    @property
    def about_weights(self) -> str:
        """What is to be said of the weights where none of the pictures to judge by is known to be among theirs."""
        if not self.begun_with or any(self._seen.values()):
            return ""
        if not self.inherited.complete:
            return f"what the weights of {self.begun_with} have learnt from is not known"
        count = len(self.inherited.train)
        return f"the weights of {self.begun_with} have learnt from {count} pictures, none of which is in val or test"

    def look_back(self, digests: Mapping[str, Sequence[str]]) -> list[str]:
        """Compares the pictures to judge by with what the weights have learnt from; gives the warnings.

        Args:
            digests: SHA-256 of each file of "val" and "test".
        """
        judged = {part: found for part, found in digests.items() if found}
        counts = {part: self.inherited.seen(found) for part, found in judged.items()}
        self._seen = {part: trained for part, (trained, _) in counts.items() if self.inherited.complete or trained}
        warnings = []
        if leaked := {part: trained for part, (trained, _) in counts.items() if trained}:
            least = "" if self.inherited.complete else "at least "
            many = " and ".join(f"{least}{count} of {len(judged[part])} {part}" for part, count in leaked.items())
            warnings.append(
                f"leak: the weights of {self.begun_with} have learnt from {many} pictures, which flatters the "
                "result; --data.csv with the split.csv of that run keeps each picture in its split"
            )
        if chosen := counts.get("test", (0, 0))[1]:
            warnings.append(
                f"{chosen} of {len(judged['test'])} test pictures validated the weights of {self.begun_with}"
            )
        return warnings
