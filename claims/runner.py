"""Runs the checks, one after the other or in several processes, and gives their outcomes in order.

A check that raises is a failure with one line. A process that dies breaks the pool it is in: the claims that were not
done by then run again, each in a process of its own, and only one whose own process dies has failed.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Any

from claims.catalogue import load
from claims.registry import Claim, Number
from claims.sources import missing


@dataclass(frozen=True)
class Outcome:
    """What became of one claim.

    Attributes:
        id: Of the claim.
        numbers: All numbers of its check, in order.
        seconds: Wall time of the check.
        error: One line when the check raised or gave no number; else empty.
        skipped: Why it was not run; else empty. Numbers beside it are those of an earlier run.
    """

    id: str
    numbers: list[Number] = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""
    skipped: str = ""

    @property
    def failed(self) -> bool:
        """Whether a number is not as it must be, or the check broke off."""
        return bool(self.error) or not all(number.passed for number in self.numbers)

    @property
    def state(self) -> str:
        """One word: skipped, failed or passed."""
        return "skipped" if self.skipped else "failed" if self.failed else "passed"

    def record(self) -> dict[str, Any]:
        """As primitives, for JSON, which knows neither infinities nor NaN: those become text."""
        numbers = [
            {
                "what": number.what,
                "measured": number.measured if math.isfinite(number.measured) else str(number.measured),
                "relation": number.relation,
                "due": number.due if math.isfinite(number.due) else str(number.due),
                "tolerance": number.tolerance,
                "counterexample": number.counterexample,
                "passed": number.passed,
            }
            for number in self.numbers
        ]
        return {"state": self.state, "seconds": round(self.seconds, 4), "error": self.error,
                "skipped": self.skipped, "numbers": numbers}  # fmt: skip

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Outcome:
        """The outcome of which `record` told; whether a number stands as it must is decided anew.

        Raises:
            KeyError, TypeError, ValueError: If something is missing or of another kind.
        """
        numbers = [
            Number(str(one["what"]), float(one["measured"]), float(one["due"]), one["relation"],
                   float(one["tolerance"]), bool(one["counterexample"]))
            for one in record["numbers"]
        ]  # fmt: skip
        return cls(record["id"], numbers, float(record["seconds"]), record["error"], record["skipped"])


def run_claim(claim: Claim) -> Outcome:
    """Runs one check in this process, from fixed seeds, whatever ran before."""
    import numpy as np
    import torch

    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  (a library that draws from the global state, such as scikit-learn)
    if not sys.warnoptions:  # what a library deprecates is no part of the result; tests turn warnings into errors
        warnings.simplefilter("ignore")
    numbers: list[Number] = []
    error = ""
    started = time.perf_counter()
    try:
        for number in claim.check():
            numbers.append(number)  # noqa: PERF402  (those before a crash are kept)
        if not numbers:
            error = "the check gave no number"
    except Exception as problem:
        place = f"after {numbers[-1].what!r}, " if numbers else ""
        error = f"{place}{type(problem).__name__}: {' '.join(str(problem).split())}"
    return Outcome(claim.id, numbers, time.perf_counter() - started, error)


def left_out(claim: Claim, with_long: bool) -> str:
    """Why a claim is not run, or an empty text."""
    if claim.long and not with_long:
        return "takes long: name it, or give --all"
    return missing(claim.needs) if claim.needs else ""


def run_all(claims: Sequence[Claim], jobs: int) -> Iterator[Outcome]:
    """Outcomes in the order of the claims, each as soon as it and those before it are there.

    Args:
        claims: Those to run.
        jobs: Number of processes; 1 runs all in this one.
    """
    jobs = min(jobs, len(claims))
    # Claims are small: several processes of one thread each are faster than threads that wait for each other.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    if jobs <= 1:
        import torch

        torch.set_num_threads(1)
        yield from map(run_claim, claims)
        return
    with processes(jobs) as pool:
        # The long ones first, so that no process idles at the end; the results are asked for in order.
        futures: dict[str, Future[Outcome]] = {}
        for claim in sorted(claims, key=lambda one: not one.long):
            futures[claim.id] = pool.submit(_run_by_id, claim.id)
        for claim in claims:
            try:
                yield futures[claim.id].result()
            except BrokenProcessPool:
                yield run_alone(claim)


@contextmanager
def processes(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of fresh processes, which ends at once with what it is in, whatever they are doing."""
    context = multiprocessing.get_context("spawn")
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_prepare)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()


def run_alone(claim: Claim) -> Outcome:
    """Runs one check in a fresh process."""
    with processes(1) as pool:
        try:
            return pool.submit(_run_by_id, claim.id).result()
        except BrokenProcessPool:
            return Outcome(claim.id, error="its process ended: killed, out of memory, or crashed in a library")


def _prepare() -> None:
    """In a new process: leave Ctrl-C to the parent, end with it, take one thread."""
    import signal

    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    torch.set_num_threads(1)


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _run_by_id(id: str) -> Outcome:
    claims, broken = load({id})
    if id not in claims:
        return Outcome(id, error="; ".join(broken.values()) or "not registered")
    return run_claim(claims[id])
