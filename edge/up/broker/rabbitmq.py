"""Finds the installed RabbitMQ, and makes the settings of a private node."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from edge.core.errors import StackError
from edge.up.broker.ports import LOOPBACK, NodePorts

NODE_NAME = "edge@localhost"  # fixed, because the folder of the store has this name, and a host can be renamed
#: Start script of Debian's package. The script in the PATH runs RabbitMQ as the user `rabbitmq` only.
DEBIAN_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_MIB = 1 << 20
DISK_LIMIT_BYTES = 200 * _MIB
_YEAR_MS = 365 * 86_400_000


def find_server(override: Path | None = None) -> Path:
    """Return the script that starts RabbitMQ.

    Args:
        override: the script to use in place of the installed one.

    Raises:
        StackError: RabbitMQ is not installed, or `override` is not an executable file.
    """
    if override is not None:
        found = override if os.access(override, os.X_OK) else None
        missing = f"{override}: expected an executable file, the start script of RabbitMQ"
    else:
        on_path = shutil.which("rabbitmq-server")
        found = DEBIAN_SERVER if os.access(DEBIAN_SERVER, os.X_OK) else Path(on_path) if on_path else None
        missing = "rabbitmq-server is not installed: apt install rabbitmq-server"
    if found is None:
        raise StackError(missing)
    return found


def find_epmd() -> Path:
    """Return Erlang's port mapper. Raises StackError, which tells how to install it, if there is none."""
    found = shutil.which("epmd", path=os.environ.get("PATH", os.defpath) + ":/usr/bin:/usr/lib/erlang/bin")
    if found is None:
        raise StackError("epmd (Erlang) is not installed: apt install rabbitmq-server")
    return Path(found)


def memory_limit_bytes() -> int:
    """Return the memory that the broker may use before it blocks publishers: 40 % of all memory, 192 MiB to 1 GiB."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(max(total * 2 // 5, 192 * _MIB), 1024 * _MIB)


def conf(*, port: int, user: str, password: str) -> str:
    """Return the text of `rabbitmq.conf`, which is valid for 3.10 and for 4.0."""
    settings = {
        "listeners.tcp.1": f"{LOOPBACK}:{port}",
        "default_user": user,
        "default_pass": password,
        f"loopback_users.{user}": "true",
        # A message may stay unacknowledged for a whole night, but the default closes the channel after 30 min. The
        # timeout uses the wall clock (seen on 3.10), and a board without a battery-backed clock may jump from 1970 to
        # the present while a job runs.
        "consumer_timeout": 200 * _YEAR_MS,
        "raft.wal_max_size_bytes": 16 * _MIB,
        "vm_memory_high_watermark.absolute": memory_limit_bytes(),
        # The default, `rss`, starts a program every second.
        "vm_memory_calculation_strategy": "allocated",
        "disk_free_limit.absolute": DISK_LIMIT_BYTES,
        "collect_statistics_interval": 60_000,
        "log.file.level": "info",
        "log.connection.level": "warning",
        "log.file.rotation.size": 2 * _MIB,
        "log.file.rotation.count": 2,
    }
    return "".join(f"{key} = {value}\n" for key, value in settings.items())


def environment(base: Path, ports: NodePorts) -> dict[str, str]:
    """Return the whole environment of the node, without any variable of the system broker.

    From the caller it takes only PATH, and adds folders to it.
    """
    etc = base / "etc"
    return {
        "PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(base),
        # Makes the script replace itself with Erlang. So its pid is the pid of the broker, and SIGTERM is a clean stop.
        "RUNNING_UNDER_SYSTEMD": "true",
        "RABBITMQ_NODENAME": NODE_NAME,
        "RABBITMQ_DIST_PORT": str(ports.distribution),
        "RABBITMQ_MNESIA_BASE": str(base / "store"),
        "RABBITMQ_LOG_BASE": str(base / "log"),
        "RABBITMQ_CONF_ENV_FILE": str(etc / "rabbitmq-env.conf"),
        "RABBITMQ_CONFIG_FILE": str(etc / "rabbitmq.conf"),
        "RABBITMQ_CONFIG_FILES": str(etc / "conf.d" / "*.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(etc / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(etc / "enabled_plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(base / "generated"),
        "RABBITMQ_SCHEMA_DIR": str(base / "generated" / "schema"),
        # These settings save power and memory: one scheduler, no busy waiting, a quarter of the default distribution
        # buffer. The scheduler is not bound, because two nodes with one scheduler each would share the first core. The
        # heartbeat of `aten` tells the other nodes of a cluster ten times a second that this one lives. There are none.
        "RABBITMQ_DISTRIBUTION_BUFFER_SIZE": "32000",
        "RABBITMQ_SCHEDULER_BIND_TYPE": "u",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none -aten heartbeat_interval 60000"
            " -kernel inet_dist_use_interface {127,0,0,1}"
        ),
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "ERL_EPMD_PORT": str(ports.epmd),
        "ERL_CRASH_DUMP_SECONDS": "0",  # a crash dump writes megabytes to the card, and nobody reads it
    }
