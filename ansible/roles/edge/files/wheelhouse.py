"""Collects on the controller the archives of wheels and units with which a board installs this project offline.

It runs on the machine that deploys, and that platform may differ from the board's. So markers are evaluated for the
board, wheels are fetched for the board, and every file must have a hash of `requirements.lock`.

It prints one JSON object with the name and the archive of the release, and those of the libraries that it needs. Most
further releases share the libraries. Without `--apart` the archive of the release contains the libraries too. The same
sources give the same names, and are not built again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from email.parser import HeaderParser
from pathlib import Path

try:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name, parse_wheel_filename
except ImportError:  # every pip carries it
    from pip._vendor.packaging.requirements import Requirement
    from pip._vendor.packaging.utils import canonicalize_name, parse_wheel_filename


class Pinned:
    """One entry of the lock: a version with its marker and its hashes."""

    def __init__(self, line: str) -> None:
        text, *hashes = re.split(r"\s+--hash=", line)
        self.requirement = Requirement(text.strip())
        self.hashes = {digest.strip() for digest in hashes}

    @property
    def line(self) -> str:
        """The entry for pip, without the marker, which was already evaluated for the board."""
        pin = f"{self.requirement.name}{self.requirement.specifier}"
        return " \\\n    ".join([pin, *(f"--hash={digest}" for digest in sorted(self.hashes))])


def read_lock(path: Path, environment: dict[str, str]) -> dict[str, Pinned]:
    """Return the entries of the lock that apply on a machine with this environment, by name."""
    joined = re.sub(r"\\\n", " ", path.read_text())
    lines = [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    pins = [Pinned(line) for line in lines]
    return {
        canonicalize_name(pin.requirement.name): pin
        for pin in pins
        if pin.requirement.marker is None or pin.requirement.marker.evaluate(environment)
    }


def environment(python: str, machine: str) -> dict[str, str]:
    """Return the values of the marker variables on a Linux board."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
        "extra": "",
    }


def needs(wheel: Path, extras: set[str], env: dict[str, str]) -> list[Requirement]:
    """Return the requirements of a wheel with these extras on a machine with this environment."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(entry for entry in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", entry))
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    found = [Requirement(text) for text in metadata.get_all("Requires-Dist") or []]
    return [
        one
        for one in found
        if one.marker is None or any(one.marker.evaluate({**env, "extra": extra}) for extra in {"", *extras})
    ]


def pip(*arguments: str) -> None:
    """Run pip quietly; if it fails, exit with the end of its output."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"pip {arguments[0]} failed:\n{done.stdout[-4000:]}")


def platforms(machine: str, glibc_minor: int) -> list[str]:
    """Return the options of pip for wheels that a board with this glibc can load."""
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(glibc_minor, 16, -1)]
    tags += [f"manylinux2014_{machine}", f"linux_{machine}", "any"]
    return [option for tag in tags for option in ("--platform", tag)]


def fetch(pins: list[Pinned], folder: Path, target: list[str]) -> None:
    """Download the wheels of `pins` into `folder`, each checked against its hashes."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:
        wanted.write("".join(f"{pin.line}\n" for pin in pins))
        wanted.flush()
        pip("download", "--no-deps", "--require-hashes", "-r", wanted.name, "--dest", str(folder), *target)


def collect(
    own: Path, lock: dict[str, Pinned], extras: set[str], env: dict[str, str], folder: Path, target: list[str]
) -> list[Pinned]:
    """Fetch all requirements of the wheel `own`, breadth first, and return their entries in the lock."""
    taken: dict[str, Pinned] = {}
    known: set[tuple[str, str]] = set()
    todo: list[tuple[Path, set[str]]] = [(own, extras)]
    while todo:
        fresh: dict[str, set[str]] = {}
        for wheel, wanted in todo:
            for need in needs(wheel, wanted, env):
                name = canonicalize_name(need.name)
                if name not in lock:
                    sys.exit(f"{need} (of {wheel.name}) is not in requirements.lock for this board; run `make lock`")
                new = {extra for extra in {"", *need.extras} if (name, extra) not in known}
                if new:
                    known |= {(name, extra) for extra in new}
                    fresh.setdefault(name, set()).update(new)
        missing = [lock[name] for name in fresh if name not in taken]
        if missing:
            fetch(missing, folder, target)
        taken |= {name: lock[name] for name in fresh}
        wheels = {canonicalize_name(parse_wheel_filename(path.name)[0]): path for path in folder.glob("*.whl")}
        todo = [(wheels[name], wanted - {""}) for name, wanted in fresh.items()]
    return [taken[name] for name in sorted(taken)]


def sha256(path: Path) -> str:
    """Return the hash of the file in the format of pip."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def build(source: Path, folder: Path) -> Path:
    """Build the wheel of this project, and return its path; the same sources give the same bytes."""
    os.environ.setdefault("SOURCE_DATE_EPOCH", "1580601600")
    pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(source))
    return next(folder.glob("*.whl"))


def pack(folder: Path, archive: Path) -> None:
    """Write a tar of the folder; the same files give the same bytes."""
    part = archive.with_suffix(".part")
    with tarfile.open(part, "w") as tar:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = tarfile.TarInfo(str(path.relative_to(folder)))
            entry.size, entry.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                tar.addfile(entry, file)
    part.replace(archive)


def gather(
    own: Path, lock: dict[str, Pinned], options: argparse.Namespace, env: dict[str, str], scratch: Path, archive: Path
) -> None:
    """Fetch the requirements of the wheel `own`, and pack them with a requirements file for pip."""
    tag = f"cp{options.python.replace('.', '')}"
    wheels = options.cache / f"wheels-{tag}-{options.machine}"
    folder = scratch / "libraries"
    for path in (wheels, folder, archive.parent):
        path.mkdir(exist_ok=True)
    # pip looks at the wheels of earlier runs first.
    os.environ["PIP_FIND_LINKS"] = " ".join(filter(None, [str(wheels), os.environ.get("PIP_FIND_LINKS", "")]))
    target = ["--only-binary", ":all:", *platforms(options.machine, options.glibc_minor)]
    target += ["--implementation", "cp", "--python-version", options.python]
    target += ["--abi", tag, "--abi", "abi3", "--abi", "none"]
    chosen = collect(own, lock, set(options.extra), env, folder, target)
    for wheel in folder.glob("*.whl"):
        if not (wheels / wheel.name).exists():
            shutil.copy(wheel, wheels / wheel.name)
    (folder / "requirements.txt").write_text("".join(f"{pin.line}\n" for pin in chosen))
    pack(folder, archive)


def recipe(options: argparse.Namespace) -> str:
    """Return a digest of everything that the answer depends on; for the same digest nothing is built again."""
    trees = [options.source / name for name in ("edge", "tasks", "systemd", "ansible")]
    files = [path for tree in trees for path in tree.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    files += [path for path in options.source.glob("*") if path.suffix in {".toml", ".lock", ".md"}]
    board = [options.python, options.machine, options.glibc_minor, sorted(options.extra), options.apart]
    return short([board, sorted([str(path.relative_to(options.source)), sha256(path)] for path in files)])


def short(seed: object) -> str:
    """Return a short name made from a hash of `seed`."""
    return hashlib.sha256(json.dumps(seed).encode()).hexdigest()[:10]


def recall(known: Path) -> str:
    """Return the answer of an earlier run, or an empty text if there is none or its archives are gone.

    The archives get a new modification time, so that `keep_newest` does not remove them.
    """
    try:
        text = known.read_text()
        for key, path in json.loads(text).items():
            if key.endswith("archive"):
                os.utime(path)
    except (OSError, ValueError):
        return ""
    return text


def keep_newest(cache: Path, count: int = 12, used_s: float = 86_400) -> None:
    """Remove old archives, because every change of the sources leaves one.

    The newest `count` stay, and so do those used within `used_s` seconds, because another play may need one now.
    """
    today = time.time() - used_s
    for pattern in ("*.tar", "known-*.json", "libraries/*.tar"):
        found = sorted(cache.glob(pattern), key=lambda path: path.stat().st_mtime)
        for path in found[:-count]:
            if path.stat().st_mtime < today:
                path.unlink(missing_ok=True)


def make(options: argparse.Namespace) -> str:
    """Build, fetch and pack, and return the answer as JSON."""
    env = environment(options.python, options.machine)
    lock_file = options.source / "requirements.lock"
    if not lock_file.is_file():
        sys.exit(
            f"edge_source {options.source}: there is no {lock_file.name} in it; it must be a folder of this project"
        )
    lock = read_lock(lock_file, env)
    board = [sha256(lock_file), sorted(options.extra), options.python, options.machine, options.glibc_minor]
    with tempfile.TemporaryDirectory(dir=options.cache) as temp:
        scratch = Path(temp)
        own = build(options.source, scratch)
        name, version, *_ = parse_wheel_filename(own.name)
        libraries = short([board, sorted(str(need) for need in needs(own, set(options.extra), env))])
        needed = options.cache / "libraries" / f"{libraries}.tar"
        if not needed.exists():
            gather(own, lock, options, env, scratch, needed)
        units = [path for path in sorted((options.source / "systemd").glob("edge*")) if path.is_file()]
        release = f"{version}-{short([sha256(own), board, [[path.name, sha256(path)] for path in units]])}"
        archive = options.cache / f"{name}-{release}{'-apart' if options.apart else ''}.tar"
        folder = scratch / "archive"
        (folder / "systemd").mkdir(parents=True)
        if not options.apart:
            with tarfile.open(needed) as tar:
                tar.extractall(folder, filter="data")
        shutil.copy(own, folder / own.name)
        with (folder / "requirements.txt").open("a") as lines:
            lines.write(f"{name}=={version} --hash={sha256(own)}\n")
        for path in units:
            shutil.copy(path, folder / "systemd" / path.name)
        pack(folder, archive)
    answer: dict[str, object] = {"release": release, "version": str(version), "archive": str(archive)}
    room = needed.stat().st_size * 6 >> 20  # wheels and what they unpack and compile to; measured: 5.3 times their size
    answer |= {"libraries": libraries, "libraries_archive": str(needed), "libraries_room_mb": room}
    return json.dumps(answer)


def main() -> None:
    """Print the answer of an earlier run with the same recipe, or a new one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--python", required=True, help="version of Python on the board, such as 3.11")
    parser.add_argument("--machine", required=True, choices=["x86_64", "aarch64"])
    parser.add_argument("--glibc-minor", type=int, default=36)
    parser.add_argument("--extra", action="append", default=[])
    parser.add_argument("--apart", action="store_true", help="keep the libraries in a separate archive")
    options = parser.parse_args()
    options.extra = [extra for extra in options.extra if extra]
    options.cache.mkdir(parents=True, exist_ok=True)
    known = options.cache / f"known-{recipe(options)}.json"
    answer = recall(known)
    if not answer:
        answer = make(options)
        known.write_text(answer)
        keep_newest(options.cache)
    sys.stdout.write(f"{answer}\n")


if __name__ == "__main__":
    main()
