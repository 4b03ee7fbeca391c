"""The Celery app. Its import neither reads the configuration nor opens anything. Its first use does."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import click
from celery import Celery
from kombu import Connection
from kombu.utils.objects import cached_property

from edge.broker import topology
from edge.broker.routes import Routes
from edge.catalog.commands import commands_of
from edge.config import Config, Loaded, load
from edge.core.errors import ConfigError, UsageError
from edge.model import Pool, Power, WorkerPool
from edge.worker.api.kind import TaskKind

#: A publish fails if the broker does not confirm it within this time.
CONFIRM_S = 30.0


class EdgeApp(Celery):  # type: ignore[misc]
    """A Celery app with the queues, tasks and results of `edge.yaml`."""

    task_cls = "edge.worker.celery.task:EdgeTask"

    def __init__(self, *args: object, **kwargs: object) -> None:
        self._loaded: Loaded | None = None
        self._own_url = ""
        self.module_errors: dict[str, str] = {}
        self._has_commands = False
        super().__init__(*args, **kwargs)
        self.add_defaults(self._settings)

    def use(self, loaded: Loaded) -> None:
        """Use this configuration instead of EDGE_CONFIG and the default files. Call it before any other use of the app.

        Raises:
            UsageError: the app has read its configuration already.
        """
        if self.configured:
            raise UsageError("the Celery app has read its configuration already")
        self._loaded = loaded

    @property
    def edge_loaded(self) -> Loaded:
        """The configuration with the origin of each value. It is read at the first use. Raises ConfigError."""
        if self._loaded is None:
            self._loaded = load()
        return self._loaded

    @property
    def edge_config(self) -> Config:
        """The configuration. It is read at the first use. Raises ConfigError."""
        return self.edge_loaded.config

    def edge_tasks(self) -> dict[str, TaskKind]:
        """Return the tasks that jobs can name: the tasks of the modules in `tasks:`, and the commands.

        Celery's built-in tasks are left out. So are the tasks of a module that one of these modules only imports, if
        the configuration does not name it. Raises ConfigError.
        """
        modules = self.edge_config.tasks
        if not self._has_commands and (commands := commands_of(self.edge_config)):
            from edge.worker.celery.commands import add_commands  # loaded only if the owner allows programs

            self._has_commands = True
            self.module_errors.update(add_commands(self, commands))
        ours = ((name, task) for name, task in self.tasks.items() if getattr(task, "edge_signature", None) is not None)
        return {
            name: task
            for name, task in ours
            if task.edge_command is not None or any(_belongs(task, module) for module in modules)
        }

    def gen_task_name(self, name: str, module: str) -> str:  # noqa: ARG002 - Celery's signature
        """Return the name of the function, so that submitters need not know the modules of tasks."""
        return name

    @cached_property  # type: ignore[untyped-decorator]
    def Worker(self) -> Any:  # noqa: N802 - Celery's name. `Any`: a class of Celery, which ships no types
        """The worker program, bound to this app."""
        return self.subclass_with_self("edge.worker.celery.controller:Worker")

    def _connection(self, url: object, **kwargs: object) -> Connection:
        """Return a connection with the options of this appliance, unless the caller names another broker."""
        if url is not None and url != self._own_url:
            return super()._connection(url, **kwargs)
        return topology.connection(self.edge_config.broker, confirm=True)

    def _route(
        self,
        name: str,
        _args: object,
        _kwargs: object,
        options: Mapping[str, object],
        task: object = None,
        **_: object,
    ) -> dict[str, str] | None:
        """Return the queue for the kind and power class of the task, or None if the caller chose a queue."""
        power = getattr(task, "edge_power", None)
        if power is None or options.get("queue") or options.get("exchange") or options.get("routing_key"):
            return None
        pool = getattr(task, "edge_pool", Pool.MAIN)
        return {"queue": Routes.of(self.edge_config, {name: pool}).queue(name, power)}

    def _log_format(self) -> dict[str, object]:
        """Return the settings that make a worker of threads log the thread, which is named after its job."""
        if self.edge_config.own_worker.pool is not WorkerPool.THREADS:
            return {}
        return {"worker_log_format": "[%(asctime)s: %(levelname)s/%(threadName)s] %(message)s"}

    def _settings(self) -> dict[str, object]:
        try:
            config = self.edge_config
        except ConfigError as err:
            if not _in_celery_command():
                raise
            sys.stderr.write(f"celery: {err}\n")
            raise SystemExit(err.exit_code) from err
        link = config.broker
        vhost = quote(link.vhost, safe="")
        self._own_url = f"amqp://{quote(link.user, safe='')}@{link.host}:{link.port}/{vhost}"
        return {
            "broker_url": self._own_url,
            "task_queues": [topology.queue(name) for name in topology.all_queues(config.workers)],
            "task_default_queue": topology.queue_name(Power.NORMAL),
            "task_default_exchange": "",
            "task_default_exchange_type": "direct",
            "task_default_routing_key": topology.queue_name(Power.NORMAL),
            "task_create_missing_queues": False,
            "task_routes": [self._route],
            "task_default_delivery_mode": "persistent",
            "task_serializer": "json",
            "result_serializer": "json",
            "accept_content": ["json"],
            "task_acks_late": True,
            "task_publish_retry_policy": {"max_retries": 3, "interval_start": 0, "interval_step": 0.5},
            "worker_prefetch_multiplier": 1,
            "worker_concurrency": 1,
            "worker_pool": "solo",
            "worker_consumer": "edge.worker.celery.consumer:Consumer",
            "worker_enable_remote_control": False,
            "worker_send_task_events": False,
            "worker_hijack_root_logger": True,
            **self._log_format(),
            "broker_heartbeat": 0,
            "broker_connection_retry_on_startup": True,
            "broker_connection_max_retries": None,
            "broker_channel_error_retry": True,  # if the broker refuses later, the connection ends, not the worker
            "result_backend": "edge.worker.celery.backend:ResultFiles",
            "enable_utc": True,
        }


def _belongs(task: object, module: str) -> bool:
    """Return True if `module` or a module below it defines the task, or if `module` imports the task by name."""
    if f"{task.__module__}.".startswith(f"{module}."):
        return True
    return any(each is task for each in vars(sys.modules.get(module, object)).values())


def _in_celery_command() -> bool:
    """Return True in `celery -A edge.worker ...`, which must show an error as one line without a traceback."""
    context = click.get_current_context(silent=True)
    return context is not None and type(context.find_root().obj).__name__ == "CLIContext"


app = EdgeApp("edge")
