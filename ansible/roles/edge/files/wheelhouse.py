"""Collects on the controller what a board needs to install this project offline: archives of wheels and units.

Runs on the machine that deploys, whose platform may differ from the board's: markers are evaluated for the board,
wheels are fetched for the board, and every file must have a hash of `requirements.lock`. Prints one JSON object: the
release's name and archive, and name and archive of the libraries it needs, which further releases mostly share. Without
`--apart` the first archive holds these too. The same sources give the same names, and are not built again.
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
    """One line of the lock: a version with its marker and its hashes."""

    def __init__(self, line: str) -> None:
        text, *hashes = re.split(r"\s+--hash=", line)
        self.requirement = Requirement(text.strip())
        self.hashes = {digest.strip() for digest in hashes}

    @property
    def line(self) -> str:
        """As pip reads it, without the marker: it was evaluated for the board."""
        pin = f"{self.requirement.name}{self.requirement.specifier}"
        return " \\\n    ".join([pin, *(f"--hash={digest}" for digest in sorted(self.hashes))])


def read_lock(path: Path, environment: dict[str, str]) -> dict[str, Pinned]:
    """What the lock pins on a machine with this environment, by name."""
    joined = re.sub(r"\\\n", " ", path.read_text())
    lines = [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    pins = [Pinned(line) for line in lines]
    return {
        canonicalize_name(pin.requirement.name): pin
        for pin in pins
        if pin.requirement.marker is None or pin.requirement.marker.evaluate(environment)
    }


def environment(python: str, machine: str) -> dict[str, str]:
    """The markers' variables on a Linux board."""
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
    """What a wheel requires with these extras on a machine with this environment."""
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
    """Run pip quietly; its own words are shown when it fails."""
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
    """Options that make pip take what a board with this glibc can load."""
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
    """Fetch everything `own` needs, breadth first; the pins that were taken."""
    taken: dict[str, Pinned] = {}
    asked: set[tuple[str, str]] = set()
    todo: list[tuple[Path, set[str]]] = [(own, extras)]
    while todo:
        fresh: dict[str, set[str]] = {}
        for wheel, wanted in todo:
            for need in needs(wheel, wanted, env):
                name = canonicalize_name(need.name)
                if name not in lock:
                    sys.exit(f"{need} (of {wheel.name}) is not in requirements.lock for this board; run `make lock`")
                new = {extra for extra in {"", *need.extras} if (name, extra) not in asked}
                if new:
                    asked |= {(name, extra) for extra in new}
                    fresh.setdefault(name, set()).update(new)
        missing = [lock[name] for name in fresh if name not in taken]
        if missing:
            fetch(missing, folder, target)
        taken |= {name: lock[name] for name in fresh}
        wheels = {canonicalize_name(parse_wheel_filename(path.name)[0]): path for path in folder.glob("*.whl")}
        todo = [(wheels[name], wanted - {""}) for name, wanted in fresh.items()]
    return [taken[name] for name in sorted(taken)]


def sha256(path: Path) -> str:
    """The file's hash as pip writes it."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def build(source: Path, folder: Path) -> Path:
    """This project's own wheel; the same sources give the same bytes."""
    os.environ.setdefault("SOURCE_DATE_EPOCH", "1580601600")
    pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(source))
    return next(folder.glob("*.whl"))


def pack(folder: Path, archive: Path) -> None:
    """One tar of the folder, the same bytes for the same files."""
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
    """Fetch what `own` needs, and pack it with the list that pip installs it by."""
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
    """A digest of all that the answer depends on: the same again needs no build."""
    trees = [options.source / name for name in ("edge", "tasks", "systemd", "ansible")]
    files = [path for tree in trees for path in tree.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    files += [path for path in options.source.glob("*") if path.suffix in {".toml", ".lock", ".md"}]
    asked = [options.python, options.machine, options.glibc_minor, sorted(options.extra), options.apart]
    return short([asked, sorted([str(path.relative_to(options.source)), sha256(path)] for path in files)])


def short(seed: object) -> str:
    """A name for what `seed` describes."""
    return hashlib.sha256(json.dumps(seed).encode()).hexdigest()[:10]


def recall(known: Path) -> str:
    """The answer of an earlier run, while its archives are there; else nothing."""
    try:
        text = known.read_text()
        for key, path in json.loads(text).items():
            if key.endswith("archive"):
                os.utime(path)
    except (OSError, ValueError):
        return ""
    return text


def keep_newest(cache: Path, count: int = 12, used_s: float = 86_400) -> None:
    """Remove what nobody has used lately: every change of the sources leaves an archive.

    Those of today stay, because another play may need one of them now.
    """
    today = time.time() - used_s
    for pattern in ("*.tar", "known-*.json", "libraries/*.tar"):
        found = sorted(cache.glob(pattern), key=lambda path: path.stat().st_mtime)
        for path in found[:-count]:
            if path.stat().st_mtime < today:
                path.unlink(missing_ok=True)


def make(options: argparse.Namespace) -> str:
    """Build, fetch and pack; the answer."""
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
    room = needed.stat().st_size * 6 >> 20  # beside the wheels, what they unpack and compile to; measured: 5.3
    answer |= {"libraries": libraries, "libraries_archive": str(needed), "libraries_room_mb": room}
    return json.dumps(answer)


def main() -> None:
    """Answer from what is known, or make it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--python", required=True, help="the board's, such as 3.11")
    parser.add_argument("--machine", required=True, choices=["x86_64", "aarch64"])
    parser.add_argument("--glibc-minor", type=int, default=36)
    parser.add_argument("--extra", action="append", default=[])
    parser.add_argument("--apart", action="store_true", help="leave the libraries in an archive of their own")
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
