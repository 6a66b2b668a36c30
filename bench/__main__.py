"""Side-by-side benchmarks.

python -m bench                    what there is
python -m bench NAME [options]     run one (NAME --help shows its options)
python -m bench all                run each with its defaults, and MNIST to 99.5 and 99.7 %
python -m bench NAME -- --epochs 1 what stands behind -- goes to train.py, where there is one

Exit status: 0, 1 when a side failed, 2 when something needed is missing or an option is wrong.
"""

from __future__ import annotations

import argparse
import importlib
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from bench.arguments import from_zero, positive
from bench.child import threads
from bench.harness import BenchError, hardware, hardware_lines
from trainer.errors import RunFailed, UserError, not_installed

BENCHMARKS = {
    "digits": "the one command, train.py --model cnn: seconds and accuracy over seeds, beside the target",
    "mnist": "MNIST with one of our recipes against the PyTorch MNIST example, whole processes (peer: minutes)",
    "finetune": "a folder of pictures: our recipe against PyTorch's transfer tutorial and timm (peers: minutes)",
    "pipeline": "a folder of pictures to batches, first and later epochs, against torchvision's ImageFolder",
    "depthwise": "a training step of a mobile network on a CPU: float32, bfloat16, and bfloat16 as we train in it",
    "overhead": "the Trainer with everything on against a bare loop, per step",
    "face": "the recipe for faces: error over splits and time, beside the closed form",
    "dbn": "deep belief networks: pretrained against a random start with 100, 1,000 and all labels, over seeds",
    "rbm": "MNIST, 784×500: time to the pseudo-likelihood of scikit-learn's BernoulliRBM (peer: minutes)",
    "regions": "linear regions of random networks: counting and polygons, beside parx and a grid",
    "faults": "broken folders and disturbed trainings: torchvision, timm, Lightning and ours, scored by one rule",
    "startup": "train.py --help, and the import of the training path against plain lightning.pytorch",
}


# What `all` runs beside the defaults: MNIST with two longer recipes, without the example.
FURTHER = [
    ("mnist", ["--recipe", "models/cnn-mnist-99.5.yaml", "--accuracy", "99.5", "--peer_repeats", "0"]),
    (
        "mnist",
        ["--recipe", "models/cnn-mnist-99.7.yaml", "--accuracy", "99.7", "--peer_repeats", "0", "--repeats", "3"],
    ),
]


def listing() -> str:
    """One line for each benchmark."""
    width = max(map(len, BENCHMARKS))
    return "\n".join(f"{name:<{width}}  {line}" for name, line in BENCHMARKS.items())


def run(name: str, arguments: Sequence[str]) -> None:
    """Run one benchmark and print what it found.

    Raises:
        BenchError: If it gives no result.
        ModuleNotFoundError: If a library is missing.
    """
    version("torch")  # said here, without importing it: the processes that are measured do
    module = importlib.import_module(f"bench.{name}")
    own, passed = split(arguments)
    if passed and not getattr(module, "PASSES_ON", False):
        raise BenchError(f"nothing is passed on to train.py here: {' '.join(passed)}", 2)
    parser = argparse.ArgumentParser(f"python -m bench {name}", description=BENCHMARKS[name], allow_abbrev=False)
    parser.add_argument("--repeats", type=positive, default=5, help="measurements of each side (default %(default)s)")
    parser.add_argument("--warmup", type=from_zero, default=1, help="warm-up rounds before them (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all raw figures")
    module.add_arguments(parser)
    options = parser.parse_args(own)
    options.passed = passed
    if options.json and not options.json.resolve().parent.is_dir():
        raise BenchError(f"--json {options.json}: there is no folder {options.json.parent}", 2)
    module.check(options)
    facts = hardware(threads())
    for line in hardware_lines(facts):
        print(line, flush=True)
    report = module.run(options)
    print(f"\n{report.text()}", flush=True)
    if options.json:
        report.write(options.json, facts, shlex.join(["python", "-m", "bench", name, *arguments]))


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Words before and after the first ``--``."""
    words = list(arguments)
    place = words.index("--") if "--" in words else len(words)
    return words[:place], words[place + 1 :]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(f"{(__doc__ or '').strip()}\n\n{listing()}")
        return 0
    name, *arguments = words
    if name not in {*BENCHMARKS, "all"} or (name == "all" and arguments):
        wrong = "all takes no options" if name == "all" else f"no benchmark named {name!r}"
        print(f"bench: {wrong}; known: {', '.join(BENCHMARKS)}, all", file=sys.stderr)
        return 2
    status = 0
    for each, given in [*((known, []) for known in BENCHMARKS), *FURTHER] if name == "all" else [(name, arguments)]:
        try:
            if name == "all":
                print(f"\n== {shlex.join([each, *given])}", flush=True)
            run(each, given)
        except (BenchError, RunFailed, UserError) as error:
            print(f"bench {each}: {error}", file=sys.stderr)
            status = max(status, error.exit_code)
        except ModuleNotFoundError as error:
            if not not_installed(error):
                raise
            print(f"bench: {not_installed(error)}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
