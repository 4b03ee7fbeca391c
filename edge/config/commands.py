"""The list `commands` of `edge.yaml`: the programs that the owner of a board allows. Each one is a kind of job."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge.config.about import about
from edge.model import Pool, Power, Retries, TaskName, TimeLimit

#: Name of the kind of job that runs any program. It exists only if `allow_any` is set.
ANY = "run"
#: Options of `edge run` itself. A parameter with such a name could not be given to `edge run`.
RUN_OPTIONS = frozenset({"config", "debug", "detach", "help", "in", "json", "key", "out", "power", "quiet"}) | {
    *("time_limit", "timeout", "token_file", "url")
}
#: Default pattern of `text`. It excludes what programs treat specially: -option, a/path, $variable, @argument-file.
PLAIN_TEXT = r"[A-Za-z0-9][A-Za-z0-9 ._+-]*"
#: The folders in which programs are looked up. The PATH of the worker's own environment is not used.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Scalar = bool | int | float | str


class ParameterConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One parameter that a submitter may set. It fills one argument of the program, or a part of one."""

    type: Annotated[Literal["text", "int", "float", "bool"], about("The type of its value.")] = "text"
    min: Annotated[float | None, about("Smallest number.")] = None
    max: Annotated[float | None, about("Largest number.")] = None
    pattern: Annotated[
        str | None,
        about(
            "Regular expression that must match the whole text. null: letters, digits, space and ._+-, starting with a"
            " letter or digit."
        ),
    ] = None
    max_length: Annotated[int, Meta(ge=1, le=30_000), about("Longest text, in characters.")] = 200
    choices: Annotated[tuple[str, ...], about("The allowed texts. Empty: any text that matches the pattern.")] = ()
    when_true: Annotated[str, about("The argument for the value true of a bool, such as --fast. Empty: none.")] = ""
    when_false: Annotated[str, about("The argument for the value false of a bool. Empty: none.")] = ""
    default: Annotated[Scalar | None, about("The value if a submitter gives none. null: it must be given.")] = None
    about: Annotated[str, about("What it means, for people.")] = ""


class InputConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file that comes with the job."""

    max_bytes: Annotated[int, Meta(ge=1), about("Largest size.")] = 1 << 30


class CommandConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A program and the template of its arguments."""

    name: Annotated[TaskName, about("The kind of job.", example="transcode")]
    run: Annotated[
        tuple[str, ...],
        about(
            "The program and its arguments, each one word; never a shell. {NAME}: a parameter, or the path of an input;"
            " {output:FILE}: the path of a file to write. A parameter cannot become an option.",
            example=["ffmpeg", "-i", "{input}", "-vf", "scale={width}:-1", "{output:out.mp4}"],
        ),
    ]
    about: Annotated[str, about("What it does, for people.", example="Make a clip smaller")] = ""
    parameters: Annotated[
        dict[str, ParameterConfig],
        about(
            "The values that a submitter may set.",
            example={"width": {"type": "int", "min": 64, "max": 3840, "default": 1280}},
        ),
    ] = {}
    inputs: Annotated[
        dict[str, InputConfig],
        about("Files that come with the job.", example={"input": {"max_bytes": 2_000_000_000}}),
    ] = {}
    outputs: Annotated[
        tuple[str, ...],
        about(
            "Patterns of its output files; each pattern must match at least one file. Empty: the files of"
            " {output:FILE}.",
            example=["*.mp4"],
        ),
    ] = ()
    env: Annotated[
        dict[str, str], about("Environment variables in addition to PATH, HOME, TMPDIR, LANG and EDGE_*.")
    ] = {}
    stdin: Annotated[str, about("Name of the input that it reads from standard input; none: it reads no input.")] = (
        "none"
    )
    progress: Annotated[
        str | None,
        about("Regular expression whose first group is the progress in a line of output: a number, or a time h:m:s."),
    ] = None
    progress_total: Annotated[
        float | str | None,
        about("What `progress` counts up to: a number, or a regular expression whose first group finds it in a line."),
    ] = None
    time_limit_s: Annotated[
        TimeLimit | None, about("Seconds after which it is stopped. null: worker.time_limit_s applies.")
    ] = None
    memory_mb: Annotated[
        Annotated[int, Meta(ge=4, le=1 << 20)] | None,
        about("MiB of memory for all its processes together. null: no limit."),
    ] = None
    cpu_percent: Annotated[
        Annotated[int, Meta(ge=1, le=100_000)] | None,
        about("CPU time for all its processes together; 100 is one core. null: no limit."),
    ] = None
    io_weight: Annotated[
        Annotated[int, Meta(ge=1, le=1000)] | None,
        about("Its share of a busy disk, 1 to 1000; other processes have 100. null: 100."),
    ] = None
    processes: Annotated[
        Annotated[int, Meta(ge=4, le=100_000)] | None,
        about("Processes and threads at the same time. null: no limit."),
    ] = None
    disk_mb: Annotated[
        Annotated[int, Meta(ge=1, le=1 << 24)] | None,
        about("MiB that it may write into its work folder and its checkpoint. null: worker.max_artifact_bytes."),
    ] = None
    network: Annotated[bool, about("true: it may use the network.")] = False
    sandbox: Annotated[
        bool,
        about(
            "false: it runs without bubblewrap and may read and write everything that the worker may; this needs"
            " `network: true`."
        ),
    ] = True
    reads: Annotated[
        tuple[str, ...], about("Files and folders that it may read in addition to the system's programs.")
    ] = ()
    power: Annotated[Power, about("The power class: when it may start.")] = Power.NORMAL
    pool: Annotated[
        Pool,
        about("main: one at a time; io: at the same time as others, for programs that wait for disks and networks."),
    ] = Pool.MAIN
    retries: Annotated[Retries, about("How many times it runs again after a failure.")] = 0
    scope: Annotated[
        Literal["submit", "run", "admin"],
        about("The scope that a submitter's token needs; submit: every token that may submit jobs."),
    ] = "submit"
