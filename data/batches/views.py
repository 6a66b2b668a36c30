"""Random views of stored pictures, a whole batch in one call: crop of the true shape, mirror image, then policies.

The loader's "images" are row numbers; :class:`Views` turns them into pictures. A view is a window whose area is a
random share of the picture and whose proportions are nearly the network's, resampled once to H×W. Everything random is
a function of (seed, epoch, number of the picture): a resumed run sees the same views, and so do batches of another size
and several processes that share them.

On a CPU each window goes through torch's 8-bit resampling (an order of magnitude faster than ``grid_sample`` there), in
as many threads as torch uses; on a GPU the batch is one ``grid_sample``.

Letters: B batch, N pictures, S side of a stored picture, C channels, H height, W width.

Source: Szegedy et al. (2015), Going deeper with convolutions, section 6 (random crops by area and proportion); Müller,
Hutter (2021), TrivialAugment; Cubuk et al. (2020), RandAugment.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from data.batches.draws import Draws
from data.files.modes import SEEN
from data.files.preprocess import as_layers

Kind = Literal["none", "light", "trivial", "rand"]
_PROPORTION = 4 / 3  # a window is at most this much wider or narrower than the network's frame


def check_views(kind: str, min_area: float, channels: int) -> None:
    """Refuses views that cannot be drawn.

    Args:
        kind: One of `Kind`.
        min_area: Smallest share of a picture's area, in (0, 1].
        channels: C of the pictures; the policies change colours, which only C = 1 or 3 have.

    Raises:
        ValueError: Naming the option, the value given and those allowed.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"aug must be one of {', '.join(get_args(Kind))}, got {kind!r}")
    if not 0 < min_area <= 1:
        raise ValueError(f"min_area must be in (0, 1], got {min_area}")
    if kind in ("trivial", "rand") and channels not in SEEN:
        raise ValueError(f"aug {kind} changes colours, and {channels} channels are none: allowed are light and none")


def random_windows(draw: Tensor, aspect: Tensor, frame_aspect: float, min_area: float) -> Tensor:
    """Windows of random area and proportions that lie inside their pictures.

    With area share u and window proportions r, a picture of proportions a has a window of width sqrt(u r / a) and
    height sqrt(u a / r), as shares of its sides. Where that would not fit, u is lowered to min(a / r, r / a): the
    window gets smaller, never distorted.

    Args:
        draw: Uniform in [0, 1), shape (4, B).
        aspect: a, width over height of each picture, shape (B,).
        frame_aspect: W / H of the network's frame.
        min_area: Smallest share of the picture's area, in (0, 1].

    Returns:
        left, top, width, height as shares of the picture's sides, shape (B, 4).
    """
    share = min_area + (1 - min_area) * draw[0]
    proportion = frame_aspect * torch.exp((2 * draw[1] - 1) * math.log(_PROPORTION))
    ratio = proportion / aspect
    share = torch.minimum(share, torch.minimum(ratio, 1 / ratio))
    width, height = (share * ratio).sqrt().clamp(max=1), (share / ratio).sqrt().clamp(max=1)
    return torch.stack([draw[2] * (1 - width), draw[3] * (1 - height), width, height], dim=1)


def pixel_windows(windows: Tensor, side: int) -> Tensor:
    """The windows in whole pixels of a stored square: left, top, right, bottom, at least 1 pixel wide and high.

    Args:
        windows: left, top, width, height as shares, shape (B, 4).
        side: S.

    Returns:
        int64 in 0..S, shape (B, 4).
    """
    corner = (windows[:, :2] * side).round().long().clamp(max=side - 1)
    size = (windows[:, 2:] * side).round().long().clamp(min=1)
    return torch.cat([corner, torch.minimum(corner + size, torch.tensor(side, device=corner.device))], dim=1)


@torch.inference_mode(False)  # its threads are in no such mode, and write into what is made here
def cut_on_cpu(store: Tensor, rows: Tensor, windows: Tensor, flips: Tensor, height: int, width: int) -> Tensor:
    """Cut and resample windows of stored bytes, in threads.

    Args:
        store: uint8, shape (N, S, S, C).
        rows: Which pictures, int64, shape (B,).
        windows: left, top, right, bottom in pixels, int64, shape (B, 4).
        flips: Which views are mirrored, Boolean, shape (B,).
        height: H.
        width: W.

    Returns:
        uint8, shape (B, C, H, W), channels last in memory.
    """
    batch = len(rows)
    views = torch.empty((batch, height, width, store.shape[3]), dtype=torch.uint8)

    def cut(part: range) -> None:
        for index in part:
            (left, top, right, bottom), row = boxes[index], picked[index]
            window = as_layers(store[row : row + 1, top:bottom, left:right])  # (1, C, h, w) or (C, 1, h, w)
            view = F.interpolate(window, (height, width), mode="bilinear", antialias=True)
            view = (view.flip(3) if mirrored[index] else view).flatten(0, 1)  # (C, H, W)
            views[index] = view.permute(1, 2, 0)

    boxes, picked, mirrored = windows.tolist(), rows.tolist(), flips.tolist()
    threads = min(torch.get_num_threads(), batch)
    if threads < 2:
        cut(range(batch))
    else:
        list(_pool(threads).map(cut, [range(start, batch, threads) for start in range(threads)]))
    return views.permute(0, 3, 1, 2)


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="views")


def cut_on_device(store: Tensor, rows: Tensor, windows: Tensor, flips: Tensor, height: int, width: int) -> Tensor:
    """As :func:`cut_on_cpu`, in one ``grid_sample``: float32 in 0..1, shape (B, C, H, W).

    It reads between pixels and does not average over them: where a window is larger than the view, the
    view is sharper than the CPU's, which is antialiased.
    """
    side = store.shape[1]
    pictures = store.index_select(0, rows).permute(0, 3, 1, 2).float().mul_(1 / 255)  # (B, C, S, S)
    box = windows.float() / side * 2 - 1  # -1 at the left edge of the first pixel, 1 at the right edge of the last
    half, middle = (box[:, 2:] - box[:, :2]) / 2, (box[:, 2:] + box[:, :2]) / 2  # (B, 2)
    half_x = torch.where(flips, -half[:, 0], half[:, 0])
    zero = torch.zeros_like(half_x)
    top, bottom = torch.stack([half_x, zero, middle[:, 0]], 1), torch.stack([zero, half[:, 1], middle[:, 1]], 1)
    grid = F.affine_grid(torch.stack([top, bottom], 1), [len(rows), store.shape[3], height, width], align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


class Views:
    """Random views of the stored pictures; given to the loader as its augmentation.

    Args:
        store: Pictures warped to squares, uint8, shape (N, S, S, C).
        aspect: Width over height of each picture, shape (N,).
        image_size: (H, W) of a view.
        kind: "light" (crop and mirror), "trivial" or "rand" (then TrivialAugment or RandAugment as well).
        min_area: Smallest share of a picture's area that a view shows.
        flip: Probability of a mirror image.
        pin: Leave the views in page-locked memory, from which a GPU takes them while it computes.
    """

    def __init__(
        self,
        store: Tensor,
        aspect: Tensor,
        image_size: tuple[int, int],
        kind: Kind,
        min_area: float,
        flip: float = 0.5,
        pin: bool = False,
    ) -> None:
        check_views(kind, min_area, store.shape[3])
        self.store, self.aspect, self.image_size = store, aspect, image_size
        self.kind, self.min_area, self.flip, self.pin = kind, min_area, flip, pin
        self._policy: Any = None

    def __call__(self, rows: Tensor, draws: Draws) -> Tensor:
        """Views of the pictures ``rows``: uint8 (CPU) or float32 in 0..1 (GPU), shape (B, C, H, W)."""
        height, width = self.image_size
        draw = draws.uniform(5)
        aspect = self.aspect.index_select(0, rows)
        windows = random_windows(draw[:4], aspect, width / height, self.min_area)
        boxes = pixel_windows(windows, self.store.shape[1])
        cut = cut_on_cpu if self.store.device.type == "cpu" else cut_on_device
        views = cut(self.store, rows, boxes, draw[4] < self.flip, height, width)
        views = views if self.kind == "light" else self._apply_policy(views, draws.seeds())
        return views.pin_memory() if self.pin else views

    def _apply_policy(self, views: Tensor, seeds: list[int]) -> Tensor:
        if self._policy is None:
            from torchvision.transforms import v2

            self._policy = v2.TrivialAugmentWide() if self.kind == "trivial" else v2.RandAugment()
        # torchvision draws from the global generator: lend it a seed for each view, and put its state back.
        with torch.random.fork_rng(devices=[]):
            return torch.stack([self._drawn_from(view, seed) for view, seed in zip(views, seeds, strict=True)])

    def _drawn_from(self, view: Tensor, seed: int) -> Tensor:
        torch.default_generator.manual_seed(seed)
        seen: Tensor = self._policy(view)
        return seen
