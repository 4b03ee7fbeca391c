"""Finishes an interrupted run of dpkg or apt on this board; with `--look` it only reports what is half done.

It prints a line for each fault that it found. If it could not finish them, it prints why and exits with 1.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

DPKG = Path("/var/lib/dpkg")
#: Until this file exists, a broker that its package starts would be open to the whole network.
BROKER_CONFIGURED = Path("/etc/rabbitmq/conf.d/50-board.conf")
BROKER = ["rabbitmq-server.service", "epmd.service", "epmd.socket"]
KEEP_OURS = ["--force-confdef", "--force-confold"]
WAIT_S = 600


def wait_for_others(deadline: float) -> None:
    """Return when no other apt or dpkg runs, because its half-done work is not a fault. Raises TimeoutError."""
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
    """Return what is half done, a line each."""
    found = []
    if any(path.name.isdigit() for path in (DPKG / "updates").iterdir()):
        found.append("dpkg was interrupted")
    for line in run("dpkg-query", "--show", "--showformat=${db:Status-Status} ${db:Status-Eflag} ${binary:Package}\\n")[
        1
    ].splitlines():
        status, flag, name = line.split()
        if flag != "ok" or status in ("half-installed", "half-configured", "unpacked", "triggers-pending"):
            found.append(f"{name} is {status if flag == 'ok' else flag}")
    code, output = run("apt-get", "--quiet", "check")
    if code and not found:
        found.append(last_error(output))
    return found


def finish() -> str:
    """Finish the half-done work, and return the last error, or an empty text if nothing failed."""
    apt = ["apt-get", "--quiet", "--yes", f"--option=DPkg::Lock::Timeout={WAIT_S}"]
    apt += [f"--option=DPkg::Options::={option}" for option in KEEP_OURS]
    # dpkg may stop at a package whose files are incomplete. apt then fetches that package again, and the second
    # `dpkg --configure` finishes the rest.
    run("dpkg", "--configure", "--pending", *KEEP_OURS)
    code, fixed = run(*apt, "--fix-broken", "install")
    if code and "could not be parsed" in fixed:
        for path in Path("/var/lib/apt/lists").glob("*"):
            if path.is_file() and path.name != "lock":
                path.unlink()
        run(*apt, "update")
        code, fixed = run(*apt, "--fix-broken", "install")
    failed, configured = run("dpkg", "--configure", "--pending", *KEEP_OURS)
    return last_error(fixed if code else configured) if code or failed else ""


def run(*argv: str) -> tuple[int, str]:
    """Run a program without questions, and return its exit code and output."""
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


def last_error(output: str) -> str:
    """Return the last error in the output of apt or dpkg, or the last line if there is none."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "dpkg: error"))]
    return (errors or lines or ["no reason given"])[-1]


def main() -> int:
    """Report the faults, and finish them unless `--look` is given; return exit code 0 or exit with the reason."""
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
        failed = finish()
    finally:
        if hidden:
            run("systemctl", "unmask", "--runtime", *hidden)
    after = faults()
    sys.exit(f"{'; '.join(after[:3])}: {failed or 'no reason given'}" if after else 0)


if __name__ == "__main__":
    sys.exit(main())
