"""What a user should know about a data set, one sentence each."""

from collections.abc import Sequence

from data.layout import Entry, some
from data.scan import duplicates


def bad_files(bad: Sequence[tuple[str, str]], then: str, most: int = 20) -> str:
    """All bad files with their causes, one a line.

    Args:
        bad: Path and cause of each.
        then: What happens to them.
        most: How many are listed; the others are counted.
    """
    count = f"{len(bad)} bad {'file' if len(bad) == 1 else 'files'}, {then}:"
    lines = [f"  {path}: {cause}" for path, cause in bad[:most]]
    return "\n".join([count, *lines, *([f"  and {len(bad) - most} more"] if len(bad) > most else [])])


def missing_classes(
    entries: Sequence[Entry], names: Sequence[str], unusable: Sequence[tuple[str | None, str]], validates: bool
) -> list[str]:
    """Classes that were dropped, and classes without a validation or test picture.

    Args:
        entries: Usable files, each with its split.
        names: The classes.
        unusable: (split, class) of empty folders and of bad files.
        validates: Whether a validation set is wanted.
    """
    dropped = sorted({label for split, label in unusable if split in ("train", None)} - set(names))
    lines = [f"class {label} has no usable picture in train and was dropped" for label in dropped]
    for split in ("val", "test"):
        present = {entry.label for entry in entries if entry.split == split}
        if present:
            lines += [f"class {name} has 0 {split} pictures" for name in names if name not in present]
        elif split == "val" and validates:
            lines.append("there are 0 val pictures: nothing is validated")
    return lines


def duplicate_lines(entries: Sequence[Entry], digests: Sequence[str], most: int = 5) -> list[str]:
    """The leak report: files with the same content in several splits or classes.

    Args:
        entries: Usable files, each with its split.
        digests: Content hash of each.
        most: How many groups are listed.
    """
    found = duplicates(digests, [entry.label for entry in entries], [entry.split for entry in entries])
    lines = []
    for title, groups in (
        ("leak: the same content is in several splits", [group for group in found if group.across_splits]),
        ("the same content has several labels", [group for group in found if group.across_classes]),
    ):
        if groups:
            listed = [" = ".join(entries[position].name for position in group.positions) for group in groups]
            lines.append(f"{title} ({len(groups)}): {some(listed, most)}")
    return lines
