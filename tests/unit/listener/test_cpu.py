"""How many processors count: the smaller one of affinity and the quota of the container."""

from pathlib import Path

import pytest

from listener.runtime.cpu import usable_cpus

V1 = "4:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n"


def machine(root: Path, cgroup: str, files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    for name, text in files.items():
        file = root / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        pytest.param("0::/\n", {"cpu.max": "50000 100000\n"}, 1, id="half a core"),
        pytest.param("0::/\n", {"cpu.max": "250000 100000\n"}, 3, id="two and a half cores"),
        pytest.param("0::/\n", {"cpu.max": "max 100000\n"}, 64, id="no limit"),
        pytest.param("0::/\n", {"cpu.max": "9900000 100000\n"}, 64, id="more than there are"),
        pytest.param(
            "0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "200000 100000"}, 2, id="parent"
        ),
        pytest.param(
            "0::/a/b\n", {"a/b/cpu.max": "300000 100000", "a/cpu.max": "max 1"}, 3, id="child"
        ),
        pytest.param(
            "0::/system.slice/docker-1.scope\n", {"cpu.max": "400000 100000"}, 4, id="host's path"
        ),
        pytest.param("0::/../../x\n", {"cpu.max": "400000 100000"}, 4, id="outside the namespace"),
        pytest.param("0::/\n", {"cpu.max": "1 100000"}, 1, id="nearly nothing"),
        pytest.param("0::/\n", {"cpu.max": "0 100000"}, 64, id="nought"),
        pytest.param("0::/\n", {"cpu.max": "100000 0"}, 64, id="period of nought"),
        pytest.param("0::/\n", {"cpu.max": "many"}, 64, id="odd"),
        pytest.param("0::/\n", {"cpu.max": ""}, 64, id="empty"),
        pytest.param("\xff\n::\nx", {}, 64, id="odd list of cgroups"),
        pytest.param(
            V1,
            {"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"},
            2,
            id="version 1 in a container",
        ),
        pytest.param(
            V1,
            {
                "cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "300000\n",
                "cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
                "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            3,
            id="version 1 on the host",
        ),
        pytest.param(
            V1,
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            64,
            id="version 1 without a limit",
        ),
        pytest.param(V1, {"cpu/cpu.cfs_quota_us": "100000\n"}, 64, id="version 1 without a period"),
        pytest.param(
            V1 + "0::/docker/abc\n",
            {"unified/docker/abc/cpu.max": "200000 100000\n"},
            2,
            id="both versions",
        ),
    ],
)
def test_quota_of_the_container_limits_the_processors(
    cgroup: str, files: dict[str, str], expected: int, tmp_path: Path
) -> None:
    assert usable_cpus(machine(tmp_path, cgroup, files), 64) == expected


def test_machine_without_cgroups_has_its_affinity(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path, 6) == 6


def test_unreadable_file_sets_no_quota(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/\n", {})
    (root / "sys/fs/cgroup/cpu.max").mkdir(parents=True)
    assert usable_cpus(root, 6) == 6


def test_this_machine_has_at_least_one_processor() -> None:
    assert usable_cpus() >= 1
