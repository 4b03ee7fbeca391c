"""Whether the disk of a folder is shared by the weights of cgroups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.config import CommandConfig, Config
from edge.worker.command import here
from edge.worker.command.cgroup import Cgroups, NotEnforced
from edge.worker.command.cgroup_files import wanted
from edge.worker.command.disk_weight import why_no_weight


class Sys:
    """A folder like /sys, in which the test's own disk has the properties that the test wants."""

    def __init__(self, folder: Path) -> None:
        self.disk_of = folder
        self.path = folder / "sys"
        self.mounts = folder / "mountinfo"
        found = folder.stat().st_dev
        # A tmpfs has no device. It is said to have that of /dev/null.
        self.mounts.write_text(f"30 20 0:{os.minor(found)} / {folder} rw shared:4 - btrfs /dev/null rw\n")
        device = found if os.major(found) else Path("/dev/null").stat().st_rdev
        self.number = f"{os.major(device)}:{os.minor(device)}"
        (self.path / "dev/block").mkdir(parents=True)
        (self.path / "fs/cgroup").mkdir(parents=True)

    def device(self, name: str, number: str = "", scheduler: str = "", lower: tuple[str, ...] = ()) -> Path:
        """Make a block device; `lower` names the devices below it."""
        folder = self.path / "devices" / name
        folder.mkdir(parents=True)
        number = number or self.number
        (folder / "dev").write_text(f"{number}\n")
        (self.path / "dev/block" / number).symlink_to(folder)
        if scheduler:
            (folder / "queue").mkdir()
            (folder / "queue/scheduler").write_text(f"{scheduler}\n")
        for each in lower:
            (folder / "slaves").mkdir(exist_ok=True)
            (folder / "slaves" / each).symlink_to(self.path / "devices" / each)
        return folder

    def why(self) -> str:
        return why_no_weight(self.disk_of, sys=self.path, mounts=self.mounts)


@pytest.fixture
def sys(tmp_path: Path) -> Sys:
    return Sys(tmp_path)


@pytest.mark.parametrize("scheduler", ["[none] mq-deadline bfq", "none [mq-deadline] bfq", "none [mq-deadline] kyber"])
def test_a_scheduler_without_weights_is_named(sys: Sys, scheduler: str) -> None:
    sys.device("sda", scheduler=scheduler)
    name = scheduler.partition("[")[2].partition("]")[0]
    assert sys.why() == f"the disk sda has the scheduler {name}, so it gives no shares by weight"


def test_bfq_has_weights(sys: Sys) -> None:
    sys.device("sda", scheduler="none mq-deadline [bfq]")
    assert sys.why() == ""


def test_a_disk_with_enabled_costs_has_weights(sys: Sys) -> None:
    sys.device("sda", scheduler="[none]")
    (sys.path / "fs/cgroup/io.cost.qos").write_text(f"{sys.number} enable=1 ctrl=auto rpct=0.00\n")
    assert sys.why() == ""


def test_costs_of_another_disk_do_not_count(sys: Sys) -> None:
    sys.device("sda", scheduler="[none]")
    (sys.path / "fs/cgroup/io.cost.qos").write_text(f"{sys.number} enable=0 ctrl=auto\n900:0 enable=1 ctrl=auto\n")
    assert "sda" in sys.why()


def test_a_partition_is_judged_by_its_disk(sys: Sys) -> None:
    disk = sys.device("sda", "900:0", "none [bfq]")
    (disk / "sda1").mkdir()
    (disk / "sda1/partition").write_text("1\n")
    (sys.path / "dev/block" / sys.number).symlink_to(disk / "sda1")
    assert sys.why() == ""


def test_a_joined_disk_needs_weights_on_each_part(sys: Sys) -> None:
    sys.device("sda", "900:0", "none [bfq]")
    sys.device("sdb", "900:16", "[none] bfq")
    sys.device("dm-0", lower=("sda", "sdb"))
    assert "sdb" in sys.why()


def test_a_disk_that_is_not_known_has_no_weights(sys: Sys) -> None:
    assert "is not known" in sys.why()


def test_a_folder_that_is_not_made_yet_is_on_the_disk_of_its_parent(sys: Sys) -> None:
    sys.device("sda", scheduler="[bfq]")
    assert why_no_weight(sys.disk_of / "a/b", sys=sys.path, mounts=sys.mounts) == ""


WEIGHED = CommandConfig(name="c", run=("true",), io_weight=50)


def cgroups(tmp_path: Path, *files: str) -> Cgroups:
    base = tmp_path / "cg/unit"
    base.mkdir(parents=True)
    for name in ("controllers", "subtree_control"):
        (base / f"cgroup.{name}").write_text("io")
    group = base / "edge-main.x"
    group.mkdir()
    for name in files:
        (group / name).write_text("default 100\n")
    mounts, own = tmp_path / "mountinfo", tmp_path / "own"
    with mounts.open("a") as file:
        file.write(f"30 20 900:26 / {tmp_path}/cg rw,nosuid shared:4 - cgroup2 cgroup2 rw\n")
    own.write_text("0::/unit\n")
    return Cgroups("main", disk=tmp_path, mounts=mounts, own=own, systemd=tmp_path / "none", sys=tmp_path / "sys")


def test_a_weight_without_effect_is_refused_although_its_file_is_there(tmp_path: Path) -> None:
    made = cgroups(tmp_path, "io.weight")
    with pytest.raises(NotEnforced, match=r"io_weight: .*choose bfq"):
        made.make("x", wanted(WEIGHED), needed=False)


def test_a_weight_is_written_into_each_file_that_is_there(tmp_path: Path) -> None:
    Sys(tmp_path).device("sda", scheduler="[bfq]")
    group = cgroups(tmp_path, "io.bfq.weight").make("x", wanted(WEIGHED), needed=False)
    assert group is not None
    assert (group.folders[0] / "io.bfq.weight").read_text() == "default 50"
    assert not (group.folders[0] / "io.weight").exists()


def test_the_check_of_a_board_names_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here, "why_no_weight", lambda root: f"the disk of {root} has no weights")
    (tmp_path / "cgroup.controllers").write_text("io")
    found = dict(here.missing(Config(root=tmp_path, commands=(WEIGHED,)), cgroups=tmp_path))
    what = f"commands[0].io_weight: the disk of {tmp_path} has no weights: jobs of c are refused"
    assert "choose bfq" in found[what]
