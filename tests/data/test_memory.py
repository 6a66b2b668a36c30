"""How much memory an array may take, from files like those of the kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.files.memory import memory_limit

GIB = 1 << 30
HUGE = 9223372036854771712  # what version 1 says without a limit


def kernel(root: Path, files: dict[str, object]) -> tuple[Path, Path]:
    """Folders like /proc and /sys/fs/cgroup."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{content}\n")
    return root / "proc", root / "groups"


MACHINE = {"proc/meminfo": f"MemTotal: {128 << 20} kB\nMemAvailable: {100 << 20} kB"}


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, 100),
        ({"proc/meminfo": "MemTotal: 5 kB"}, 8),
        ({"proc/meminfo": "MemAvailable: much"}, 8),
        ({"groups/memory.max": 16 * GIB, "groups/memory.current": 6 * GIB}, 10),
        ({"groups/memory.max": 16 * GIB}, 100),
        ({"groups/memory.max": "max", "groups/memory.current": 6 * GIB}, 100),
        ({"groups/memory.max": 256 * GIB, "groups/memory.current": 6 * GIB}, 100),
        ({"groups/memory.max": 16 * GIB, "groups/memory.current": 17 * GIB}, 0),
        (
            {
                "groups/memory.max": 16 * GIB,
                "groups/memory.current": 15 * GIB,
                "groups/memory.stat": f"anon 5\nactive_file 7\ninactive_file {3 * GIB}",
            },
            4,
        ),
        (
            {
                "groups/memory/memory.limit_in_bytes": 20 * GIB,
                "groups/memory/memory.usage_in_bytes": 5 * GIB,
                "groups/memory/memory.stat": f"inactive_file 9\ntotal_inactive_file {GIB}",
            },
            16,
        ),
        ({"groups/memory/memory.limit_in_bytes": HUGE, "groups/memory/memory.usage_in_bytes": GIB}, 100),
    ],
)
def test_half_of_what_machine_and_container_leave(tmp_path: Path, files: dict[str, object], free: int) -> None:
    assert memory_limit(*kernel(tmp_path, MACHINE | files)) == free * GIB // 2


@pytest.mark.parametrize(
    ("line", "folder", "names"),
    [
        ("0::/slurm/job 7/step", "", ("memory.max", "memory.current")),
        ("4:cpu,memory:/slurm/job 7/step", "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")),
    ],
)
def test_the_group_of_the_process_and_those_above_it_count(
    tmp_path: Path, line: str, folder: str, names: tuple[str, str]
) -> None:
    place = Path("groups", folder, "slurm")
    files: dict[str, object] = {
        "proc/self/cgroup": f"9:pids:/other\n{line}",
        f"{place}/{names[0]}": 64 * GIB,
        f"{place}/{names[1]}": 30 * GIB,
        f"groups/{folder}/other/{names[0]}": 1,
        f"groups/{folder}/other/{names[1]}": 0,
    }
    assert memory_limit(*kernel(tmp_path, MACHINE | files)) == 34 * GIB // 2
    files |= {f"{place}/job 7/{names[0]}": 8 * GIB, f"{place}/job 7/{names[1]}": 2 * GIB}
    assert memory_limit(*kernel(tmp_path, MACHINE | files)) == 6 * GIB // 2


def test_without_the_kernel_s_files_it_is_4_gib(tmp_path: Path) -> None:
    assert memory_limit(tmp_path, tmp_path) == 4 * GIB
