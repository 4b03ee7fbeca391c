"""Collects on the controller what a board needs to install this project offline: one archive of wheels and units.

Runs on the machine that deploys, whose platform may differ from the board's: markers are evaluated for the board,
wheels are fetched for the board, and every file must have a hash of `requirements.lock`. Prints one JSON object:
the release's name, the archive, and the number of wheels. The same sources give the same name.
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


def main() -> None:
    """Build, fetch, pack; nothing is fetched again that lies in the cache."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--python", required=True, help="the board's, such as 3.11")
    parser.add_argument("--machine", required=True, choices=["x86_64", "aarch64"])
    parser.add_argument("--glibc-minor", type=int, default=36)
    parser.add_argument("--extra", action="append", default=[])
    options = parser.parse_args()
    env = environment(options.python, options.machine)
    lock_file = options.source / "requirements.lock"
    lock = read_lock(lock_file, env)
    tag = f"cp{options.python.replace('.', '')}"
    abis = ["--implementation", "cp", "--python-version", options.python]
    abis += ["--abi", tag, "--abi", "abi3", "--abi", "none"]
    target = ["--only-binary", ":all:", *platforms(options.machine, options.glibc_minor), *abis]
    extras = {extra for extra in options.extra if extra}
    options.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.cache) as scratch:
        own = build(options.source, Path(scratch))
        name, version, *_ = parse_wheel_filename(own.name)
        digest = sha256(own)
        units = [path for path in sorted((options.source / "systemd").glob("edge*")) if path.is_file()]
        seed = json.dumps(
            [digest, sha256(lock_file), sorted(extras), tag, options.machine, options.glibc_minor]
            + [[path.name, sha256(path)] for path in units]
        )
        key = hashlib.sha256(seed.encode()).hexdigest()[:10]
        release = f"{version}-{key}"
        archive = options.cache / f"{name}-{release}.tar"
        if not archive.exists():
            wheels = options.cache / f"wheels-{tag}-{options.machine}"
            wheels.mkdir(exist_ok=True)
            folder = Path(scratch) / "archive"
            folder.mkdir()
            chosen = collect(own, lock, extras, env, _fresh(wheels, folder), target)
            shutil.copy(own, folder / own.name)
            extra = f"[{','.join(sorted(extras))}]" if extras else ""
            lines = [f"{name}{extra}=={version} --hash={digest}", *(pin.line for pin in chosen)]
            (folder / "requirements.txt").write_text("\n".join(lines) + "\n")
            for wheel in folder.glob("*.whl"):
                if not (wheels / wheel.name).exists():
                    shutil.copy(wheel, wheels / wheel.name)
            (folder / "systemd").mkdir()
            for path in units:
                shutil.copy(path, folder / "systemd" / path.name)
            pack(folder, archive)
    with tarfile.open(archive) as tar:
        count = sum(entry.endswith(".whl") for entry in tar.getnames())
    sys.stdout.write(
        json.dumps({"release": release, "version": str(version), "archive": str(archive), "wheels": count}) + "\n"
    )


def _fresh(wheels: Path, folder: Path) -> Path:
    """`folder`, with pip told to look at the wheels of earlier runs first."""
    os.environ["PIP_FIND_LINKS"] = " ".join(filter(None, [str(wheels), os.environ.get("PIP_FIND_LINKS", "")]))
    return folder


if __name__ == "__main__":
    main()
