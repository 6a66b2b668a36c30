"""How much memory is free: of the machine, and of the container or the job that the process runs in.

In a container /proc/meminfo tells of the whole machine. What the process may take says its control group, and each one
above it: a limit, and what is used of it. Of that, pages of files that were not read lately are given up when memory is
wanted; MemAvailable counts such pages as free too.

Source:
    Linux kernel documentation, Control Group v2 (memory.max, memory.current, memory.stat) and Memory Resource
    Controller (version 1: limit_in_bytes, usage_in_bytes).
"""

from pathlib import Path, PurePosixPath

_UNKNOWN = 8 << 30  # bytes, of a machine that does not say
_VERSION_2 = ("memory.max", "memory.current", "inactive_file")
_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def memory_limit(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that an array may take in memory: half of what is free, or 4 GiB when nothing says how much that is.

    Args:
        proc: Where the kernel tells of processes.
        groups: Where it tells of control groups.
    """
    return min([machine_free(proc), *groups_free(proc, groups)]) // 2


def machine_free(proc: Path) -> int:
    """Free bytes of the machine."""
    found = _number(proc / "meminfo", "MemAvailable:")
    return _UNKNOWN if found is None else found * 1024


def groups_free(proc: Path, groups: Path) -> list[int]:
    """Free bytes of each control group with a limit: that of this process and those above it."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        lines = []
    found = []
    for line in [*lines, "0::/", "1:memory:/"]:  # in a container the own group may be told by its place outside
        _, controllers, place = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, names = (groups / "memory", _VERSION_1) if controllers else (groups, _VERSION_2)
        own = PurePosixPath(place.lstrip("/"))
        for above in [own, *own.parents]:
            limit, used = (_number(root / above / name) for name in names[:2])
            if limit is not None and used is not None:
                unused = _number(root / above / "memory.stat", names[2]) or 0
                found.append(max(0, limit - used + unused))
    return found


def _number(file: Path, key: str = "") -> int | None:
    """The number of a file, or that of its line with a key; None where there is none, such as ``max``."""
    try:
        for line in file.read_text().splitlines():
            words = line.split()
            if not key or words[:1] == [key]:
                return int(words[1 if key else 0])
    except (OSError, ValueError, IndexError):
        pass
    return None
