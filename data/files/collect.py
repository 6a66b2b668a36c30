"""One pass over the files that both learns what each is and keeps its pixels, so that no file is decoded twice.

The scan (data/files/scan.py) needs every file decoded to find the bad ones; the arrays (data/files/store.py) need every
good one. Here they share the pass. A second pass happens only for pictures wanted in another form, such as the
validation pictures of an automatic split, which is not known before the scan, and for JPEGs that may be copies of other
files.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from data.files.copies import whole_wanted
from data.files.decode import Picture
from data.files.modes import SEEN
from data.files.scan import Scanned, read_cache, scan, unchanged, write_cache
from data.files.store import Form, PixelStore

Arrays = dict[Form, tuple[dict[int, int], Tensor]]  # for each form: the row of each position, and the rows


class Collection:
    """Picture files with what they are and their pixels.

    Args:
        paths: The files.
        store: Makes and keeps arrays.
        cache_file: Where to remember the scan.
        num_workers: Threads; None for one a core.
        progress: Show a progress bar when stderr is a terminal.
    """

    def __init__(
        self,
        paths: Sequence[str],
        store: PixelStore,
        cache_file: Path,
        num_workers: int | None = None,
        progress: bool = True,
    ) -> None:
        self.paths, self.store, self.cache_file = list(paths), store, cache_file
        self.num_workers, self.progress = num_workers, progress
        self.scanned: list[Scanned] = []
        self.cache_works = True
        self.decoded = 0  # files decoded by this object
        self._arrays: Arrays = {}
        self._asked: dict[tuple[Form, tuple[int, ...]], tuple[dict[int, int], Tensor]] = {}  # later, in another form

    def scan(self, forms: Sequence[Form]) -> list[Scanned]:
        """Learn what every file is, and keep the pixels of each in the form given for it.

        Args:
            forms: "plain" or "source" for each file.

        Returns:
            What each file is.
        """
        max_pixels, channels = self.store.settings["max_pixels"], self.store.settings["channels"]
        known = read_cache(self.cache_file, max_pixels, channels)
        found = unchanged(self.paths, known)
        positions: dict[Form, list[int]] = defaultdict(list)
        for position, form in enumerate(forms):
            positions[form].append(position)
        stored: dict[Form, list[str]] = {}  # the digests of an array that an earlier run kept
        with self._discarded_on_failure(self._arrays):
            for form, members in positions.items():
                digests = [one.digest if (one := found[position]) else "" for position in members]
                pixels = self.store.load(form, digests)  # what is unknown, or could not be read, is read below
                if pixels is None:
                    pixels = self.store.allocate(form, len(members))
                else:
                    stored[form] = digests
                self._arrays[form] = {position: row for row, position in enumerate(members)}, pixels
            wanted = [position for form in positions if form not in stored for position in positions[form]]
            self.scanned = self._decode(range(len(self.paths)), wanted, known, forms, self._arrays)
            for form, members in positions.items():
                digests = [self.scanned[position].digest for position in members]
                if stored.get(form) != digests:
                    self.cache_works &= self.store.save(form, digests, self._arrays[form][1])
        self._read_whole(whole_wanted(self.scanned))
        if any(known.get(one.path) != one for one in self.scanned):
            # Files that have gone leave the cache: it holds this data set as it is now.
            self.cache_works &= write_cache(self.cache_file, max_pixels, self.scanned, channels)
        return self.scanned

    def _read_whole(self, positions: Sequence[int]) -> None:
        """Learn the digests of the pixels of JPEGs, which the first pass does not take."""
        if not positions:
            return
        settings = self.store.settings
        found = scan(
            [self.paths[position] for position in positions],
            max_pixels=settings["max_pixels"],
            channels=3 if settings["channels"] in SEEN else settings["channels"],
            whole=True,
            num_workers=self.num_workers,
            progress=self.progress,
        )
        for position, one in zip(positions, found, strict=True):
            self.scanned[position] = replace(self.scanned[position], pixels=one.pixels)

    def pixels(self, form: Form, positions: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Pixels of good files in one form, decoded now unless they are there already.

        Returns:
            An array, shape (R, ...), and the row of each position in it, int64, shape (len(positions),).

        Raises:
            ValueError: If a file was changed since the scan.
        """
        rows, pixels = self._arrays.get(form, ({}, None))
        asked = form, tuple(positions)
        if asked in self._asked:
            rows, pixels = self._asked[asked]
        elif pixels is None or any(position not in rows for position in positions):
            digests = [self.scanned[position].digest for position in positions]
            stored = self.store.load(form, digests)
            rows = {position: row for row, position in enumerate(positions)}
            if stored is None:
                pixels = self.store.allocate(form, len(positions))
                arrays: Arrays = {form: (rows, pixels)}
                with self._discarded_on_failure(arrays):
                    self._decode_again(form, positions, arrays)
                    self.cache_works &= self.store.save(form, digests, pixels)
            else:
                pixels = stored
            self._asked[asked] = rows, pixels
        return pixels, torch.tensor([rows[position] for position in positions], dtype=torch.int64)

    def proportions(self, form: Form, positions: Sequence[int]) -> Tensor:
        """Width over height of what each row of `pixels` shows, float32, shape (R,): 1 in the network's frame."""
        stored, rows = self.pixels(form, positions)
        shown = torch.ones(len(stored))
        if self.store.settings["kind"] == "resize-crop":  # of the whole picture
            scanned = [self.scanned[position] for position in positions]
            shown.index_copy_(0, rows, torch.tensor([found.width / found.height for found in scanned]))
        return shown

    def _decode_again(self, form: Form, positions: Sequence[int], arrays: Arrays) -> None:
        """Decode good files in one more form; refuses what is another file than the scan saw, whose digests name it."""
        known = {one.path: one for one in self.scanned}
        found = self._decode(positions, positions, known, [form] * len(self.paths), arrays)
        for position, one in zip(positions, found, strict=True):
            if one.cause is not None or one.digest != self.scanned[position].digest:
                why = "" if one.cause is None else f": {one.cause}"
                raise ValueError(f"{one.path} changed while it was being read{why}")

    @contextmanager
    def _discarded_on_failure(self, arrays: Arrays) -> Iterator[None]:
        """Leaves no room behind in the cache folder when the pass that fills it ends early."""
        try:
            yield
        except BaseException:  # an interrupt too
            for _, pixels in arrays.values():
                self.store.discard(pixels)
            raise

    def _decode(
        self,
        positions: Sequence[int],
        wanted: Sequence[int],
        known: Mapping[str, Scanned],
        forms: Sequence[Form],
        arrays: Arrays,
    ) -> list[Scanned]:
        """Scan ``positions``; those ``wanted`` or unknown put their pixels into the array of their form."""
        settings = self.store.settings
        done: list[int] = []

        def keep(index: int, picture: Picture) -> None:
            position = positions[index]
            rows, pixels = arrays[forms[position]]
            pixels[rows[position]] = self.store.convert(forms[position], picture.pixels)
            done.append(position)

        place = {position: index for index, position in enumerate(positions)}
        scanned = scan(
            [self.paths[position] for position in positions],
            max_pixels=settings["max_pixels"],
            channels=settings["channels"],
            background=settings["background"],
            sink=keep,
            wanted=[place[position] for position in wanted],
            known=known,
            num_workers=self.num_workers,
            progress=self.progress,
        )
        self.decoded += len(done)
        return scanned
