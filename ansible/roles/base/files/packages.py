"""Finishes what an interrupted dpkg or apt left half done on this board; `--look` only tells of it.

Prints what was found, a line each; nothing where all is well. Exit code 1: it could not be finished, and why.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

DPKG = Path("/var/lib/dpkg")
#: Until this is there, a broker that its package starts would be one for everybody.
BROKER_CONFIGURED = Path("/etc/rabbitmq/conf.d/50-board.conf")
BROKER = ["rabbitmq-server.service", "epmd.service", "epmd.socket"]
KEEP_OURS = ["--force-confdef", "--force-confold"]
WAIT_S = 600


def wait_for_others(deadline: float) -> None:
    """Return when no other apt or dpkg is at work: what it has half done is no fault. Raises TimeoutError."""
    for name in ("lock-frontend", "lock"):
        with (DPKG / name).open("w") as stream:
            while True:
                try:
                    fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"another program has held {DPKG / name} for {WAIT_S} s") from None
                    time.sleep(1.0)


def faults() -> list[str]:
    """What is half done, a line each."""
    found = []
    if any(path.name.isdigit() for path in (DPKG / "updates").iterdir()):
        found.append("dpkg was interrupted")
    for line in run("dpkg-query", "--show", "--showformat=${db:Status-Status} ${db:Status-Eflag} ${binary:Package}\\n")[
        1
    ].splitlines():
        status, flag, name = line.split()
        if flag != "ok" or status in ("half-installed", "half-configured", "unpacked", "triggers-pending"):
            found.append(f"{name} is {status if flag == 'ok' else flag}")
    code, said = run("apt-get", "--quiet", "check")
    if code and not found:
        found.append(last_words(said))
    return found


def mend() -> str:
    """Finish it; the last words of what failed, empty where nothing did."""
    apt = ["apt-get", "--quiet", "--yes", f"--option=DPkg::Lock::Timeout={WAIT_S}"]
    apt += [f"--option=DPkg::Options::={option}" for option in KEEP_OURS]
    # Of what it starts, dpkg knows no order: it stops at a package whose files are not whole, which apt brings again.
    run("dpkg", "--configure", "--pending", *KEEP_OURS)
    code, said = run(*apt, "--fix-broken", "install")
    if code and "could not be parsed" in said:
        for path in Path("/var/lib/apt/lists").glob("*"):
            if path.is_file() and path.name != "lock":
                path.unlink()
        run(*apt, "update")
        code, said = run(*apt, "--fix-broken", "install")
    configured, told = run("dpkg", "--configure", "--pending", *KEEP_OURS)
    return last_words(said if code else told) if code or configured else ""


def run(*argv: str) -> tuple[int, str]:
    """Exit code and words of a program, which asks nobody."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=env,
        check=False,
    )
    return done.returncode, done.stdout


def last_words(said: str) -> str:
    """The line that tells most: the last error, or else the last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "dpkg: error"))]
    return (errors or lines or ["no reason given"])[-1]


def main() -> int:
    """Look, and mend unless told not to."""
    try:
        wait_for_others(time.monotonic() + WAIT_S)
    except TimeoutError as err:
        sys.exit(str(err))
    before = faults()
    sys.stdout.write("".join(f"{fault}\n" for fault in before))
    if not before or "--look" in sys.argv:
        return 0
    hidden = [] if BROKER_CONFIGURED.exists() else BROKER
    if hidden:
        run("systemctl", "mask", "--runtime", *hidden)
    try:
        failed = mend()
    finally:
        if hidden:
            run("systemctl", "unmask", "--runtime", *hidden)
    after = faults()
    sys.exit(f"{'; '.join(after[:3])}: {failed or 'no reason given'}" if after else 0)


if __name__ == "__main__":
    sys.exit(main())
