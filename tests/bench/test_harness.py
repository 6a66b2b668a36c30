from __future__ import annotations

import json
import math
import statistics
import sys
from pathlib import Path

import pytest

from bench import harness
from bench.harness import BenchError, Report, Sample, Side, alternate, paired_ratios, spread, table


def test_spread_against_numbers_worked_out_by_hand() -> None:
    found = spread([4.0, 1.0, 3.0, 2.0])
    assert (found.count, found.median, found.low, found.high, found.mean) == (4, 2.5, 1.0, 4.0, 2.5)
    assert found.deviation == pytest.approx(math.sqrt(5 / 3))  # sum of squares 5 over n - 1


def test_spread_of_one_value_has_no_deviation() -> None:
    found = spread([7.0])
    assert (found.median, found.low, found.high) == (7.0, 7.0, 7.0)
    assert math.isnan(found.deviation)


def test_spread_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        spread([])


def test_ratios_are_formed_within_pairs() -> None:
    # A machine that slows down by a factor of 10 half-way changes no paired ratio, but the ratio of means.
    ours, peer = [1.0, 10.0, 10.0], [2.0, 20.0, 30.0]
    assert paired_ratios(peer, ours) == [2.0, 2.0, 3.0]
    assert statistics.fmean(peer) / statistics.fmean(ours) != pytest.approx(statistics.median([2.0, 2.0, 3.0]))


def test_a_peer_with_fewer_runs_meets_every_run_of_ours() -> None:
    assert paired_ratios([12.0], [1.0, 2.0, 3.0]) == [12.0, 6.0, 4.0]
    assert paired_ratios([8.0, 9.0, 10.0], [2.0, 3.0]) == [4.0, 3.0, 5.0]
    assert paired_ratios([], [1.0]) == []


def test_sides_run_in_turn_after_all_are_warm() -> None:
    calls: list[str] = []

    def side(name: str, repeats: int) -> Side:
        def run(repeat: int) -> Sample:
            calls.append(f"{name}{repeat}")
            return Sample(repeat + 1.0)

        return Side(name, run, repeats, lambda: calls.append(f"warm {name}"))

    said: list[str] = []
    samples = alternate([side("A", 3), side("B", 2), side("C", 0)], warmup=2, say=said.append)
    assert calls == ["warm A", "warm A", "warm B", "warm B", "A0", "B0", "A1", "B1", "A2"]
    assert [sample.seconds for sample in samples["A"]] == [1.0, 2.0, 3.0]
    assert samples["C"] == []
    assert said[1] == "B 1/2: 1 s"


def test_figures_of_earlier_runs_are_said_before_a_later_one_fails() -> None:
    def run(repeat: int) -> Sample:
        if repeat:
            raise BenchError("no more", 1)
        return Sample(2.5, {"test/accuracy": 0.9912})

    said: list[str] = []
    with pytest.raises(BenchError, match="no more"):
        alternate([Side("A", run, 2)], say=said.append)
    assert said == ["A 1/2: 2.5 s, test accuracy 99.12%"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(257.0, "257 s"), (12.345, "12.3 s"), (1.0, "1 s"), (0.0123, "12.3 ms"), (0.000212, "212 µs"), (0.0, "0 µs")],
)
def test_durations_have_a_fitting_unit(seconds: float, text: str) -> None:
    assert harness.duration(seconds) == text


def test_mean_and_deviation() -> None:
    assert harness.mean_and_deviation([0.98, 1.0], 100) == "99.00 ± 1.41"
    assert harness.mean_and_deviation([0.98], 100) == "98.00"


def test_table_columns_are_aligned() -> None:
    lines = table(("side", "median"), [["ours", "1.2 s"], ["the other one", "12.3 s"]]).splitlines()
    assert lines == [
        "side           median",
        "-------------  ------",
        "ours            1.2 s",
        "the other one  12.3 s",
    ]


def test_row_of_a_side_that_did_not_run() -> None:
    assert harness.seconds_row("peer", []) == ["peer", "0", "–", "–", "–", "–"]
    assert harness.seconds_row("ours", [1.0, 3.0, 2.0], [5.0, 4.0]) == ["ours", "3", "2 s", "1 s – 3 s", "4.5", "4 – 5"]


def test_processor_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel name\t: Fast One\nflags\t\t: fpu avx2 avx512_bf16\n\nmodel name\t: Other\n")
    assert harness.processor(path) == ("Fast One", True)
    path.write_text("model name\t: Slow One\nflags\t\t: fpu avx2\n")
    assert harness.processor(path) == ("Slow One", False)
    assert harness.processor(tmp_path / "none") == ("unknown processor", False)


def test_a_busy_machine_gets_one_line_of_warning() -> None:
    facts = {**harness.hardware(2), "cores": 4}
    assert len(harness.hardware_lines({**facts, "load": 0.9})) == 1
    _, warning = harness.hardware_lines({**facts, "load": 1.1})
    assert "not idle" in warning
    assert "1.10" in warning


def test_hardware_is_found_without_importing_torch() -> None:
    facts = harness.hardware(3)
    assert facts["threads"] == 3
    assert facts["cores"] >= 1
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert f"torch {facts['torch']}, 3 threads" in harness.hardware_lines(facts)[0]


def test_report_keeps_all_raw_figures(tmp_path: Path) -> None:
    samples = {"A": [Sample(1.5, {"x": math.nan, "y": 2.0}), Sample(1.25)]}
    report = Report("title", [(("a",), [["b"]])], ["note one", "note two"], samples)
    assert report.text() == "title\n\na\n-\nb\n\nnote one\nnote two"
    path = tmp_path / "raw.json"
    report.write(path, {"cpu": "C"}, "python -m bench x")
    record = json.loads(path.read_text())
    assert record["samples"] == {
        "A": [{"seconds": 1.5, "figures": {"x": None, "y": 2.0}}, {"seconds": 1.25, "figures": {}}]
    }
    assert (record["command"], record["hardware"]) == ("python -m bench x", {"cpu": "C"})
