"""Runs the statements of the five articles.

python -m claims                        all of them, but the long ones
python -m claims 000-28 003-13          these
python -m claims convolution            those in which the word occurs
python -m claims losses descent         those in which one of the words occurs (both: --search)
python -m claims --article 003 --all    one article, with its long ones
python -m claims --json claims.json     all numbers and times in a file
python -m claims --known claims.json    beside them, those of an earlier run for what is left out now

Exit status: 0 all checks passed, 1 one failed or broke off, 2 wrong input, also where the data are not there of a
statement asked for by its id, or of all that were asked for, 130 or 143 stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn


def not_installed(error: ModuleNotFoundError) -> int:
    """Says that a library is missing, in one line; the exit status. A missing module of our own is raised again."""
    if (error.name or "").partition(".")[0] in ("claims", "dashboard", "models", "theory"):
        raise error
    print(
        f"claims: PyTorch and its companions are not installed for this Python ({sys.executable}); "
        "run `make train` once, then `. .venv/bin/activate`",
        file=sys.stderr,
    )
    return 2


try:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from claims import catalogue
    from claims.page import page
    from claims.registry import Claim
    from claims.report import block, consoles, summary, unchecked_block
    from claims.runner import Outcome, left_out, run_all
except ModuleNotFoundError as missing:
    raise SystemExit(not_installed(missing)) from None
except KeyboardInterrupt:
    print("claims: stopped by SIGINT", file=sys.stderr)
    raise SystemExit(130) from None


class WrongInput(ValueError):  # noqa: N818  (what the user gave, not a fault of the program)
    """One line for the user; exit status 2."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the whole usage."""

    def error(self, message: str) -> NoReturn:
        """Called by argparse on a wrong option."""
        raise WrongInput(f"{message} (--help shows all options)")


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


def processors() -> int:
    """How many processes can run at once here."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_options(words: Sequence[str]) -> argparse.Namespace:
    """The command line, checked as far as it can be without running anything.

    Raises:
        WrongInput: One line.
    """
    usage = (__doc__ or "").partition("\n\n")
    parser = Parser("python -m claims", description=usage[0], epilog=usage[2], allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("which", nargs="*", metavar="ID or WORD", help="statements to run; else all but the long ones")
    parser.add_argument("--article", action="append", default=[], help="only of this article, such as 003; may repeat")
    parser.add_argument("--search", action="append", default=[], metavar="WORD", help="only those with this word")
    parser.add_argument("--all", action="store_true", help="the long ones too")
    parser.add_argument("--jobs", type=positive, default=min(processors(), 8), help="processes (default: %(default)s)")
    parser.add_argument("--data_root", type=Path, help="folder of the data sets that some claims need (or DATA_ROOT)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all numbers and times")
    parser.add_argument("--known", type=Path, metavar="FILE", help="an earlier --json, for what is left out now")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the page of all statements, docs/claims.md"
    )
    options = parser.parse_args(words)
    if not all(map(str.strip, [*options.which, *options.search])):
        raise WrongInput("an empty word fits no statement; leave it out to run all")
    for article in options.article:
        if article not in catalogue.ARTICLES:
            raise WrongInput(catalogue.unknown_article(article))
    options.ids = [word for word in options.which if re.fullmatch(r"[\d\W_]+", word)]
    options.words = [word for word in options.which if word not in options.ids]
    for id in options.ids:
        if id in catalogue.ARTICLES:
            raise WrongInput(f"{id} is a whole article: --article {id}")
        if id not in catalogue.IDS:
            raise WrongInput(catalogue.unknown_id(id))
    if options.data_root is not None and not options.data_root.is_dir():
        raise WrongInput(f"--data_root {options.data_root}: there is no such folder")
    if options.markdown and (options.which or options.article or options.search):
        raise WrongInput("--markdown writes the page of all statements: leave out ids, words and --article")
    for name in ("json", "markdown"):
        path = getattr(options, name)
        if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
            raise WrongInput(f"--{name} {path}: expected a file in an existing folder")
    return options


def read_known(path: Path | None, claims: dict[str, Claim]) -> dict[str, Outcome]:
    """Outcomes that an earlier ``--json`` kept, of the claims that still read as they did then.

    Raises:
        WrongInput: If ``--json`` did not write the file.
    """
    if path is None:
        return {}
    try:
        entries = json.loads(path.read_text("utf-8"))
        if not isinstance(entries, list):
            raise TypeError
        kept = [(str(one["id"]), wording(one), Outcome.from_record(one)) for one in entries]
    except OSError as problem:
        raise WrongInput(f"--known {path}: {problem.strerror}") from None
    except KeyError as missing:
        raise WrongInput(f"--known {path}: expected a file that --json wrote, an entry has no {missing}") from None
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise WrongInput(f"--known {path}: expected a file that --json wrote") from None
    return {id: outcome for id, words, outcome in kept if id in claims and words == wording(vars(claims[id]))}


def wording(claim: Mapping[str, Any]) -> tuple[str, str, str]:
    """What the numbers of a claim belong to: with another wording they are those of another claim."""
    return claim["said"], claim["verdict"], claim["correct"]


def select(options: argparse.Namespace, claims: dict[str, Claim]) -> tuple[list[Claim], list[str]]:
    """The claims asked for, and the ids without an experiment that were asked for.

    Raises:
        WrongInput: If nothing fits.
    """
    everything = not options.ids and not options.words
    for id in options.ids:
        if options.article and id[:3] not in options.article:
            raise WrongInput(f"{id} is no statement of article {' or '.join(options.article)}")

    fitted: set[str] = set()

    def fitting(*texts: str) -> set[str]:
        words = {word for word in options.words if catalogue.holds([word], *texts)}
        fitted.update(words)
        return words

    def wanted(id: str, *texts: str) -> bool:
        if options.article and id[:3] not in options.article:
            return False
        if not catalogue.holds(options.search, id, *texts):
            return False
        return everything or id in options.ids or bool(fitting(id, *texts))

    chosen = [
        claim
        for claim in claims.values()
        if wanted(claim.id, claim.said, claim.correct, claim.source, claim.verdict, catalogue.topic_of(claim))
    ]
    without = [
        id
        for id, one in catalogue.WITHOUT_EXPERIMENT.items()
        if wanted(id, one.verdict, one.correct) and (not everything or options.article or options.search)
    ]
    if not chosen and not without:
        asked = [*options.ids, *options.words, *options.search, *options.article]
        raise WrongInput(f"no statement fits {' '.join(asked)!r}")
    for word in options.words:
        if word not in fitted:
            raise WrongInput(f"no statement fits {word!r}")
    return chosen, without


def work(
    chosen: list[Claim], known: dict[str, Outcome], options: argparse.Namespace, out: Console, aside: Console
) -> list[Outcome]:
    """Runs what is to be run and prints each outcome as it comes; those of all claims, in order."""
    reasons = {one.id: left_out(one, with_long=options.all or one.id in options.ids) for one in chosen}
    to_run = [one for one in chosen if not reasons[one.id]]
    running = run_all(to_run, options.jobs)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    outcomes = []
    with Progress(*columns, console=aside, transient=True, disable=not aside.is_terminal or len(to_run) < 2) as bar:
        task = bar.add_task("statements", total=len(to_run))
        for one in chosen:
            reason = reasons[one.id]
            if not reason:
                bar.update(task, description=one.id)
            outcome = replace(known.get(one.id, Outcome(one.id)), skipped=reason) if reason else next(running)
            outcomes.append(outcome)
            if not reason:
                bar.advance(task)
            out.print(block(one, outcome))
    return outcomes


def records(claims: Sequence[Claim], outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Claims and outcomes as primitives."""
    return [
        {"id": claim.id, "said": claim.said, "verdict": claim.verdict, "correct": claim.correct,
         "source": claim.source, **outcome.record()}
        for claim, outcome in zip(claims, outcomes, strict=True)
    ]  # fmt: skip


def run(options: argparse.Namespace, words: Sequence[str]) -> int:
    """Loads, selects, runs and reports; returns the exit status.

    Raises:
        WrongInput: If nothing fits.
        ModuleNotFoundError: If PyTorch is not there.
    """
    import torch  # noqa: F401  (without it every topic would be one that cannot be imported)

    started = time.perf_counter()
    if options.data_root is not None:
        os.environ["DATA_ROOT"] = str(options.data_root)
    # Ids alone need only their own modules.
    claims, broken = catalogue.load(set(options.ids) if options.ids and not options.words else None)
    out, aside = consoles()
    chosen, without = select(options, claims)
    asked = [id for id in options.ids if id not in claims and id not in catalogue.WITHOUT_EXPERIMENT]
    outcomes = work(chosen, read_known(options.known, claims), options, out, aside)
    for id in without:
        out.print(unchecked_block(id, catalogue.WITHOUT_EXPERIMENT[id]))
    if chosen:
        for line in summary(chosen, outcomes, time.perf_counter() - started):
            out.print(line, markup=False, soft_wrap=True)
    if not options.which and not options.search and not options.article:
        number = len(catalogue.WITHOUT_EXPERIMENT)
        out.print(f"{number} more statements have no experiment; python -m claims ID says why")
    for name, line in broken.items():
        aside.print(f"claims: claims/{name}.py cannot be imported: {line}", markup=False, soft_wrap=True)
    for id in asked:
        aside.print(f"claims: no check of {id} is registered")
    absent = [one for one in outcomes if one.skipped.startswith("needs") and not one.numbers]
    if len(absent) < len(outcomes):  # of several that a word or an article fits, some may lack their data
        absent = [one for one in absent if one.id in options.ids]
    for one in absent:
        aside.print(f"claims: {one.id} was not run: it {one.skipped}", markup=False, soft_wrap=True)
    if options.json:
        options.json.write_text(json.dumps(records(chosen, outcomes), indent=1, ensure_ascii=False) + "\n", "utf-8")
    if options.markdown:
        options.markdown.write_text(page(chosen, outcomes, shlex.join(["python", "-m", "claims", *words])), "utf-8")
    failed = bool(broken or asked) or any(outcome.failed for outcome in outcomes)
    return 1 if failed else 2 * bool(absent)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return run(read_options(words), words)
    except (WrongInput, OSError) as error:
        if isinstance(error, BrokenPipeError):  # the reader, such as head, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        print(f"claims: {error}", file=sys.stderr)
        return 2 if isinstance(error, WrongInput) or error.filename else 1  # 1: the output, such as a full disk
    except ModuleNotFoundError as error:
        return not_installed(error)
    except KeyboardInterrupt:
        print("claims: interrupted", file=sys.stderr)
        return 130


def _terminated(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(main())
