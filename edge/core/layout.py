"""The path of each file: one root that survives a boot, one run folder that does not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """Paths under the state root and the run folder, each with its writers named."""

    root: Path
    run: Path
    node: bool = False  # a board without a gateway of its own

    @property
    def ledger(self) -> Path:
        """SQLite file; the gateway writes."""
        return self.root / "ledger.sqlite"

    @property
    def ledger_copy(self) -> Path:
        """A copy of the ledger some hours old, to rebuild a broken one from; the gateway writes."""
        return self.root / "ledger.copy.sqlite"

    @property
    def queues(self) -> Path:
        """Which queues there are beside the usual ones, and the kinds of the pool io; the gateway writes."""
        return self.root / "queues.json"

    @property
    def mqtt(self) -> Path:
        """What MQTT brokers keep of this board, to be taken back once it is no longer wanted; the gateway writes."""
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
        """Hashes of the tokens that an admin let in over HTTP; the gateway writes, `edge token` changes."""
        return self.root / "paired" / "tokens.json"

    @property
    def results(self) -> Path:
        """Result files, sharded by the first two characters of the id; workers write."""
        return self.root / "results"

    @property
    def staging(self) -> Path:
        """Results on their way; a name vanishes here once the result is durable. Workers write."""
        return self.results / ".staging"

    @property
    def uploads(self) -> Path:
        """Results that nodes hand in, until a worker has taken them over; the gateway writes."""
        return self.root / "uploads"

    @property
    def files(self) -> Path:
        """Files that jobs are given, named by the SHA-256 of their content; the gateway writes, on a node workers."""
        return self.tasks / ".files" if self.node else self.root / "files"

    @property
    def attempts(self) -> Path:
        """What happened to earlier deliveries, `ID.json`; workers write."""
        return self.root / "attempts"

    @property
    def spawned(self) -> Path:
        """Jobs that bodies spawned, `PARENT.NUMBER.HEX.json`, until the gateway has taken them; workers write."""
        return self.root / "spawned"

    @property
    def spawned_taken(self) -> Path:
        """The same once the ledger has them, for another attempt of the parent; the gateway writes."""
        return self.spawned / "taken"

    @property
    def checkpoints(self) -> Path:
        """Progress of unfinished jobs, `ID.json`; workers write."""
        return self.root / "checkpoints"

    def work(self, name: str) -> Path:
        """The folders of the programs that worker `name` runs now; that worker writes."""
        return self.results / ".work" / name  # beside the results, into which outputs are moved by their name

    @property
    def program_locks(self) -> Path:
        """One byte for each job whose program runs, locked by its worker. It stays empty."""
        return self.run / "programs.lock"

    @property
    def output(self) -> Path:
        """What running programs print, `WORKER/ID/STREAM/OFFSET`; workers write."""
        return self.run / "output"

    @property
    def tasks(self) -> Path:
        """What tasks keep between jobs (a bot's database), a folder each; workers write."""
        return self.root / "tasks"

    def kinds(self, name: str) -> Path:
        """Average durations and energies by kind of job on worker `name`; that worker writes."""
        return self.tasks / f".kinds-{name}.json"

    @property
    def page_key(self) -> Path:
        """Signs the session cookies of the page; the gateway makes it at the first login."""
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
        """A pause by hand, kept over power cuts; `edge pause`, `edge resume` and the governor write."""
        return self.root / "power" / "pause.json"

    @property
    def pause_order(self) -> Path:
        """An order to pause or resume, for the governor; the gateway writes."""
        return self.run / "power-orders" / "pause.json"

    @property
    def days(self) -> Path:
        """What each day's power was like, `YYYY-MM-DD.json`; the governor writes."""
        return self.root / "power" / "days"

    @property
    def today(self) -> Path:
        """The last of `days` as it is now; the governor writes."""
        return self.run / "governor" / "today.json"

    @property
    def calibration(self) -> Path:
        """What the board draws at rest and by busy core; `edge power calibrate` writes."""
        return self.root / "power" / "calibration.json"

    @property
    def activity(self) -> Path:
        """How many jobs started and ended, and what they took, `YYYY-MM-DD.json`; the gateway writes."""
        return self.root / "activity"

    @property
    def panel(self) -> Path:
        """What was learned of the panel; the governor writes, a few times a day."""
        return self.root / "power" / "panel.json"

    @property
    def outlook(self) -> Path:
        """What the panel is expected to give, and what the plan was made from; the governor writes."""
        return self.run / "governor" / "outlook.json"

    @property
    def policy(self) -> Path:
        """What the policy remembers, so that a new governor of this boot goes on with it; the governor writes."""
        return self.run / "governor" / "policy.json"

    @property
    def history(self) -> Path:
        """The last day's readings as lines of JSON; the governor writes."""
        return self.run / "governor" / "history.jsonl"

    @property
    def simulated(self) -> Path:
        """The state of simulated power; `edge power simulate` writes."""
        return self.run / "simulated" / "state"

    @property
    def backlog(self) -> Path:
        """The open jobs by kind, with what such a job costs, where workers are scaled; the gateway writes."""
        return self.run / "backlog" / "backlog.json"

    @property
    def sleep_ask(self) -> Path:
        """The wish to let the board sleep, for the gateway; the governor writes."""
        return self.run / "sleep" / "ask.json"

    @property
    def sleep_answer(self) -> Path:
        """What the gateway says to that wish; the gateway writes."""
        return self.run / "backlog" / "sleep.json"

    @property
    def sleep_light(self) -> Path:
        """`on` while the board is to sleep lightly; the governor writes, a service of root obeys."""
        return self.run / "sleep" / "light"

    @property
    def sleep_awake(self) -> Path:
        """When the board is next awake, for the record that announces it; the governor writes."""
        return self.run / "sleep" / "awake"

    @property
    def last_sleep(self) -> Path:
        """When the board last went down to sleep, and how long it boots; the governor writes."""
        return self.root / "power" / "sleep.json"

    @property
    def costs(self) -> Path:
        """What a job of each kind costs, where workers are scaled; the gateway writes."""
        return self.root / "costs.json"

    @property
    def head_backlog(self) -> Path:
        """The same on a node, as its head tells it; the node's first worker writes."""
        return self.run / "head" / "backlog.json"

    @property
    def start_times(self) -> Path:
        """How far off the times were that waiting jobs were told; the gateway writes, at most once an hour."""
        return self.root / "start-times.json"

    @property
    def scaling(self) -> Path:
        """Which workers of scaled entries are to run, and why; the governor writes."""
        return self.run / "scaling" / "workers.json"

    @property
    def starts(self) -> Path:
        """A file for each worker that is to be started, until whoever keeps the processes has; the governor writes."""
        return self.run / "scaling" / "start"

    @property
    def scale_by_hand(self) -> Path:
        """Counts that a person set, kept over power cuts; `edge scale` writes."""
        return self.root / "power" / "scale.json"

    @property
    def pairing(self) -> Path:
        """Who asks to be let in, each with a code; the gateway writes, `edge token approve` reads."""
        return self.run / "pairing" / "requests.json"

    @property
    def button_held(self) -> Path:
        """When the button was last held to let somebody in; the governor writes."""
        return self.run / "button" / "held.json"

    @property
    def orders(self) -> Path:
        """`ID.cancel`, `ID.delete` and `ID.take`: orders to the workers; the gateway writes."""
        return self.run / "orders"

    @property
    def complaints(self) -> Path:
        """Requests to restart the broker, one file a process; gateway and workers write, the restarter removes."""
        return self.run / "complaints"

    @property
    def broker_restarted(self) -> Path:
        """A token that changes whenever the broker is restarted after a request; whoever restarts it writes."""
        return self.run / "broker-restarted"

    @property
    def running(self) -> Path:
        """`NAME.json` names the bodies that worker NAME runs; with content and a dead process, the worker crashed."""
        return self.run / "running"

    def worker(self, name: str) -> Path:
        """Status of the worker `name`; that worker writes."""
        return self.run / f"worker-{name}.json"

    def frozen(self, name: str) -> Path:
        """Exists while worker `name` is frozen, and says why; its freezer writes."""
        return self.run / f"frozen-{name}.json"
