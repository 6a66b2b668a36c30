"""Read every picture file once before training: what is there, what is broken, what is there twice.

A file that cannot be decoded is named with its cause and never replaced by another picture. The same pass may hand
each decoded picture on (``sink``), so that nothing is decoded a second time. What was learnt is kept in a cache folder
outside the data, by path and what the file system says of the file, so that the next run reads only new files.

Threads suffice: Pillow releases Python's lock while it decodes and resizes.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from threading import Event

from PIL import __version__ as pillow_version

from data.files.copies import is_jpeg, jpeg_digest
from data.files.decode import Picture, PictureError, read_bytes, read_picture
from data.files.fresh import write_whole
from data.files.modes import SEEN
from data.files.progress import with_progress

_CACHE_VERSION = 6
_AT_ONCE = 8  # files


@dataclass(frozen=True)
class Scanned:
    """What one file is.

    Args:
        path: The file.
        size: Its bytes.
        changed: Its time of change, in nanoseconds; an archive or a copy may set it back.
        noted: When the file system last noted a change of it, in nanoseconds, which nobody sets.
        number: The file system's number of it, which it keeps when a folder takes the name of another.
        digest: SHA-256 of its content, hexadecimal; empty when it cannot be read.
        width: Width of the upright picture, in pixels; 0 for a bad file.
        height: Height of the upright picture, in pixels; 0 for a bad file.
        mode: Pillow's name for how a pixel is stored.
        format: Pillow's name of the format.
        cause: Why the file cannot be used; None for a good one.
        pixels: Digest of its upright pixels (data/files/copies.py); of a JPEG only where it was asked for, else empty.
        jpeg: Digest of a JPEG without its metadata; empty for other formats.
        largest: Largest value as stored where a channel has 16 bits, else 0.
    """

    path: str
    size: int = 0
    changed: int = 0
    noted: int = 0
    number: int = 0
    digest: str = ""
    width: int = 0
    height: int = 0
    mode: str = ""
    format: str = ""
    cause: str | None = None
    pixels: str = ""
    jpeg: str = ""
    largest: int = 0

    @property
    def stamp(self) -> tuple[int, int, int, int]:
        """What the file system said of it."""
        return self.size, self.changed, self.noted, self.number


def scan(
    paths: Sequence[str],
    *,
    max_pixels: int,
    channels: int = 3,
    background: str = "white",
    sink: Callable[[int, Picture], None] | None = None,
    wanted: Iterable[int] = (),
    whole: bool = False,
    known: Mapping[str, Scanned] | None = None,
    num_workers: int | None = None,
    progress: bool = True,
) -> list[Scanned]:
    """Decode files in parallel.

    Args:
        paths: The files.
        max_pixels: Pictures with more pixels count as bad.
        channels: What ``sink`` gets: 1 or 3, or the number that each file must have.
        background: Colour under transparent pixels.
        sink: Called from several threads with the position in ``paths`` and the picture, for each good file that is
            decoded.
        wanted: Positions of files that are decoded although they are known.
        whole: Take the digest of the pixels of JPEGs as well.
        known: What :func:`read_cache` gave; a file that has not changed since is not read again.
        num_workers: Threads, of which there is at least one; without it one for each core.
        progress: Show a progress bar when stderr is a terminal.

    Returns:
        What each file is, in the order of ``paths``.
    """
    results = unchanged(paths, known or {})
    wanted_set = set(wanted)
    todo = [
        index for index, found in enumerate(results) if found is None or (index in wanted_set and found.cause is None)
    ]

    def work(index: int) -> tuple[int, Scanned]:
        path = paths[index]
        stamp = _stamp(path)
        digest = ""
        try:
            content = read_bytes(path)
            digest, jpeg = hashlib.sha256(content).hexdigest(), is_jpeg(content)
            picture = read_picture(
                content, name=path, channels=channels, background=background, max_pixels=max_pixels,
                identify=whole or not jpeg,
            )  # fmt: skip
        except PictureError as error:
            # Without a digest the next run reads the file again: what did not fit into memory may fit then.
            return index, Scanned(path, *stamp, digest if error.lasting else "", cause=error.cause)
        if sink is not None:
            sink(index, picture)
        seen = (picture.width, picture.height, picture.mode, picture.format)
        before = (known or {}).get(path)
        pixels = picture.identity or (before.pixels if before and before.digest == digest else "")
        found = Scanned(path, *stamp, digest, *seen, pixels=pixels, largest=picture.largest)
        return index, replace(found, jpeg=jpeg_digest(content, picture.turn)) if jpeg else found

    threads = max(1, (os.cpu_count() or 1) if num_workers is None else num_workers)
    # Several files at a time: each answer wakes this thread, and takes Python's lock from the others for it.
    some = min(_AT_ONCE, -(-len(todo) // (4 * threads)) or 1)
    parts = [todo[start : start + some] for start in range(0, len(todo), some)]
    pool, left = ThreadPoolExecutor(threads), Event()
    try:
        each = pool.map(lambda part: [work(index) for index in part if not left.is_set()], parts)
        answers = chain.from_iterable(each)
        for index, found in with_progress(answers, len(todo) if progress else 0, "reading pictures"):
            results[index] = found
    finally:
        left.set()  # after an interrupt no further file is begun
        pool.shutdown(cancel_futures=True)
    return [found for found in results if found is not None]


def unchanged(paths: Sequence[str], known: Mapping[str, Scanned]) -> list[Scanned | None]:
    """What is known of each file; None where it is unknown, could not be read, or has changed since."""
    found = [known.get(path) for path in paths]
    return [one if one and one.digest and one.stamp == _stamp(one.path) else None for one in found]


def _stamp(path: str) -> tuple[int, int, int, int]:
    """Size, `Scanned.changed`, `Scanned.noted` and `Scanned.number` of a file; zeros where there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return 0, 0, 0, 0
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _heading(max_pixels: int, channels: int) -> dict[str, object]:
    """What a cached answer depends on beside the file; another heading makes the cache void.

    Grey and colour are made of any file, so that their answers are the same ones.
    """
    asked = {} if channels in SEEN else {"channels": channels}
    return {"version": _CACHE_VERSION, "pillow": pillow_version, "max_pixels": max_pixels, **asked}


def scan_file(cache: Path, root: Path, csv: str | None) -> Path:
    """Where in a cache folder is kept what a scan found of the pictures of a folder, or of a list."""
    key = hashlib.sha256(os.fsencode(root.absolute()) + os.fsencode(csv or "")).hexdigest()[:32]
    return cache / f"scan-{key}.json"


def read_cache(cache_file: Path, max_pixels: int, channels: int = 3) -> dict[str, Scanned]:
    """What earlier runs learnt, by path; empty when there is no cache or it was made under other conditions."""
    try:
        stored = json.loads(cache_file.read_text(encoding="utf-8"))
        if stored["heading"] != _heading(max_pixels, channels):
            return {}
        return {row["path"]: Scanned(**row) for row in stored["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # a damaged cache costs time, nothing else


def write_cache(cache_file: Path, max_pixels: int, scanned: Iterable[Scanned], channels: int = 3) -> bool:
    """Remember what was learnt; False when the folder cannot be written."""
    heading = _heading(max_pixels, channels)
    text = json.dumps({"heading": heading, "files": [vars(found) for found in scanned]})
    return write_whole(cache_file, text.encode())
