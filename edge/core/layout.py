"""Defines the path of each file: under a root that survives a boot, or under a run folder that does not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """Paths under the state root and the run folder. The description of each path names the writers."""

    root: Path
    run: Path
    node: bool = False  # True on a board without a gateway

    @property
    def ledger(self) -> Path:
        """The SQLite file of the ledger; the gateway writes."""
        return self.root / "ledger.sqlite"

    @property
    def ledger_copy(self) -> Path:
        """A copy of the ledger, some hours old, from which a broken ledger is rebuilt; the gateway writes."""
        return self.root / "ledger.copy.sqlite"

    @property
    def queues(self) -> Path:
        """The queues in addition to the usual ones, and the kinds of the pool io; the gateway writes."""
        return self.root / "queues.json"

    @property
    def mqtt(self) -> Path:
        """The retained messages of this board at MQTT brokers, for their removal later; the gateway writes."""
        return self.root / "mqtt.json"

    @property
    def restoring(self) -> Path:
        """The unpacked backup of a restore in progress; `edge restore` writes."""
        return self.root / ".restoring"

    @property
    def tokens(self) -> Path:
        """Hashes of the bearer tokens; `edge token` writes, the gateway reads."""
        return self.root / "tokens.json"

    @property
    def paired(self) -> Path:
        """Hashes of the tokens that were accepted by pairing; the gateway writes, `edge token` changes."""
        return self.root / "paired" / "tokens.json"

    @property
    def results(self) -> Path:
        """Result files, sharded by the first two characters of the id; workers write."""
        return self.root / "results"

    @property
    def staging(self) -> Path:
        """Results that are being written; a name is removed here once its result is durable. Workers write."""
        return self.results / ".staging"

    @property
    def uploads(self) -> Path:
        """Results that nodes have sent, until a worker has published them; the gateway writes."""
        return self.root / "uploads"

    @property
    def files(self) -> Path:
        """Input files of jobs, named by the SHA-256 of their content; the gateway writes, on a node the workers."""
        return self.tasks / ".files" if self.node else self.root / "files"

    @property
    def attempts(self) -> Path:
        """Records of the earlier deliveries of open jobs, `ID.json`; workers write."""
        return self.root / "attempts"

    @property
    def spawned(self) -> Path:
        """Jobs that bodies spawned, `PARENT.NUMBER.HEX.json`, until the gateway has taken them; workers write."""
        return self.root / "spawned"

    @property
    def spawned_taken(self) -> Path:
        """Files of `spawned` that the ledger has taken, for the next attempt of the parent; the gateway writes."""
        return self.spawned / "taken"

    @property
    def checkpoints(self) -> Path:
        """Progress of unfinished jobs, `ID.json`; workers write."""
        return self.root / "checkpoints"

    def work(self, name: str) -> Path:
        """Return the work folders of the programs that worker `name` runs now; that worker writes."""
        return self.results / ".work" / name  # on the file system of the results, so outputs can be moved by a rename

    @property
    def program_locks(self) -> Path:
        """A file that stays empty; workers lock one byte of it for each job whose program runs."""
        return self.run / "programs.lock"

    @property
    def output(self) -> Path:
        """The output of running programs, `WORKER/ID/STREAM/OFFSET`; workers write."""
        return self.run / "output"

    @property
    def node_output(self) -> Path:
        """The output of programs that run on nodes, `NODE/ID/STREAM/OFFSET`; the gateway writes."""
        return self.run / "node-output"

    @property
    def tasks(self) -> Path:
        """Data that tasks keep between jobs (a bot's database), one folder for each task; workers write."""
        return self.root / "tasks"

    def kinds(self, name: str) -> Path:
        """Return the file of average durations and energies by kind of job on worker `name`; that worker writes."""
        return self.tasks / f".kinds-{name}.json"

    @property
    def page_key(self) -> Path:
        """The key that signs the session cookies of the page; the gateway makes it at the first login."""
        return self.root / "page.key"

    @property
    def broker(self) -> Path:
        """The private broker's store, cookie and log under `edge up`."""
        return self.root / "broker"

    @property
    def power(self) -> Path:
        """The governor's decision; the governor writes."""
        return self.run / "power.json"

    @property
    def pause(self) -> Path:
        """A pause by a person, which survives power cuts; `edge pause`, `edge resume` and the governor write."""
        return self.root / "power" / "pause.json"

    @property
    def pause_order(self) -> Path:
        """An order to pause or resume, for the governor; the gateway writes."""
        return self.run / "power-orders" / "pause.json"

    @property
    def days(self) -> Path:
        """A summary of the power of each day, `YYYY-MM-DD.json`; the governor writes."""
        return self.root / "power" / "days"

    @property
    def today(self) -> Path:
        """The summary of the present day so far, before it goes into `days`; the governor writes."""
        return self.run / "governor" / "today.json"

    @property
    def calibration(self) -> Path:
        """The power that the board draws at rest and for each busy core; `edge power calibrate` writes."""
        return self.root / "power" / "calibration.json"

    @property
    def activity(self) -> Path:
        """Number of jobs that started and ended, and the energy they used, `YYYY-MM-DD.json`; the gateway writes."""
        return self.root / "activity"

    @property
    def panel(self) -> Path:
        """The learned model of the solar panel; the governor writes, a few times a day."""
        return self.root / "power" / "panel.json"

    @property
    def outlook(self) -> Path:
        """The forecast for the panel, and the figures behind the plan; the governor writes."""
        return self.run / "governor" / "outlook.json"

    @property
    def policy(self) -> Path:
        """The state of the policy, with which a new governor of this boot continues; the governor writes."""
        return self.run / "governor" / "policy.json"

    @property
    def history(self) -> Path:
        """The readings of the last day as lines of JSON; the governor writes."""
        return self.run / "governor" / "history.jsonl"

    @property
    def simulated(self) -> Path:
        """The state of simulated power; `edge power simulate` writes."""
        return self.run / "simulated" / "state"

    @property
    def backlog(self) -> Path:
        """The open jobs by kind and the cost of such a job, if workers are scaled; the gateway writes."""
        return self.run / "backlog" / "backlog.json"

    @property
    def sleep_ask(self) -> Path:
        """The request to the gateway to let the board sleep; the governor writes."""
        return self.run / "sleep" / "ask.json"

    @property
    def sleep_answer(self) -> Path:
        """The answer to `sleep_ask`; the gateway writes."""
        return self.run / "backlog" / "sleep.json"

    @property
    def sleep_light(self) -> Path:
        """Holds `on` while the board must sleep lightly; the governor writes, and a service of root acts on it."""
        return self.run / "sleep" / "light"

    @property
    def sleep_awake(self) -> Path:
        """The next time that the board is awake, for its announcement in the network; the governor writes."""
        return self.run / "sleep" / "awake"

    @property
    def last_sleep(self) -> Path:
        """The time of the last sleep, and how long the board takes to boot; the governor writes."""
        return self.root / "power" / "sleep.json"

    @property
    def costs(self) -> Path:
        """The cost of a job of each kind, if workers are scaled; the gateway writes."""
        return self.root / "costs.json"

    @property
    def head_backlog(self) -> Path:
        """The `backlog` of the head, on a node; the node's first worker writes."""
        return self.run / "head" / "backlog.json"

    @property
    def start_times(self) -> Path:
        """The errors of predicted start times of waiting jobs; the gateway writes, at most once an hour."""
        return self.root / "start-times.json"

    @property
    def scaling(self) -> Path:
        """The processes of scaled workers that must run, and why; the governor writes."""
        return self.run / "scaling" / "workers.json"

    @property
    def starts(self) -> Path:
        """One file for each worker that must be started; the governor writes, and the starter removes it."""
        return self.run / "scaling" / "start"

    @property
    def scale_by_hand(self) -> Path:
        """Numbers of workers that a person set, which survive power cuts; `edge scale` writes."""
        return self.root / "power" / "scale.json"

    @property
    def pairing(self) -> Path:
        """The open pairing requests, each with its code; the gateway writes, `edge token approve` reads."""
        return self.run / "pairing" / "requests.json"

    @property
    def button_held(self) -> Path:
        """The time at which the button was last held to approve a pairing request; the governor writes."""
        return self.run / "button" / "held.json"

    @property
    def orders(self) -> Path:
        """`ID.cancel`, `ID.delete`, `ID.fail` and `ID.take`: orders to the workers; the gateway writes."""
        return self.run / "orders"

    @property
    def complaints(self) -> Path:
        """Requests to restart the broker, one file a process; gateway and workers write, the restarter removes."""
        return self.run / "complaints"

    @property
    def broker_restarted(self) -> Path:
        """A token that changes whenever the broker is restarted after a request; the restarter writes."""
        return self.run / "broker-restarted"

    @property
    def running(self) -> Path:
        """Files `NAME.json` with the bodies that worker NAME runs. Content of a dead process means that it crashed."""
        return self.run / "running"

    def worker(self, name: str) -> Path:
        """Return the status file of the worker `name`; that worker writes."""
        return self.run / f"worker-{name}.json"

    def frozen(self, name: str) -> Path:
        """Return the file that exists while worker `name` is frozen and holds the reason; its freezer writes."""
        return self.run / f"frozen-{name}.json"
