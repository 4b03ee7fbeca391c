"""The programs that the owner of a board allows, as `commands:` in `edge.yaml` lists them: each is a kind of job."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge.config.about import about
from edge.model import Pool, Power, Retries, TaskName, TimeLimit

#: The kind of job that runs any program, where `allow_any` is set.
ANY = "run"
#: Options that `edge run` has itself: a parameter of such a name could not be given there.
RUN_OPTIONS = frozenset({"config", "debug", "detach", "help", "in", "json", "key", "out", "power", "quiet"}) | {
    *("time_limit", "timeout", "token_file", "url")
}
#: Default pattern of `text`: without what programs treat specially, as -option, a/path, $variable and @argument-file.
PLAIN_TEXT = r"[A-Za-z0-9][A-Za-z0-9 ._+-]*"
#: Where a program is looked for, whatever the worker's own PATH is.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Scalar = bool | int | float | str


class ParameterConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One argument that a submitter gives. It fills one argument of the program, or a part of one."""

    type: Annotated[Literal["text", "int", "float", "bool"], about("What it is.")] = "text"
    min: Annotated[float | None, about("Smallest number.")] = None
    max: Annotated[float | None, about("Largest number.")] = None
    pattern: Annotated[
        str | None,
        about(
            "Regular expression that the whole text fits. null: letters, digits, space and ._+-, starting with a letter"
            " or digit."
        ),
    ] = None
    max_length: Annotated[int, Meta(ge=1, le=30_000), about("Longest text, in characters.")] = 200
    choices: Annotated[tuple[str, ...], about("The texts allowed; empty: any that fits the pattern.")] = ()
    when_true: Annotated[str, about("What a bool puts in its place when true, such as --fast; empty: nothing.")] = ""
    when_false: Annotated[str, about("What a bool puts in its place when false; empty: nothing.")] = ""
    default: Annotated[Scalar | None, about("Taken where it is not given. null: it must be given.")] = None
    about: Annotated[str, about("What it means, for people.")] = ""


class InputConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file that comes with the job."""

    max_bytes: Annotated[int, Meta(ge=1), about("Largest size.")] = 1 << 30


class CommandConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A program with a template of its arguments."""

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
        about("What a submitter gives.", example={"width": {"type": "int", "min": 64, "max": 3840, "default": 1280}}),
    ] = {}
    inputs: Annotated[
        dict[str, InputConfig],
        about("Files that come with the job.", example={"input": {"max_bytes": 2_000_000_000}}),
    ] = {}
    outputs: Annotated[
        tuple[str, ...],
        about(
            "Files that it leaves, by pattern; each must match one. Empty: those of {output:FILE}.", example=["*.mp4"]
        ),
    ] = ()
    env: Annotated[dict[str, str], about("Variables beside PATH, HOME, TMPDIR, LANG and EDGE_*.")] = {}
    stdin: Annotated[str, about("The input that it reads from standard input, or none.")] = "none"
    progress: Annotated[
        str | None,
        about("Regular expression whose first group is the progress in a line of output: a number, or a time h:m:s."),
    ] = None
    progress_total: Annotated[
        float | str | None,
        about("What `progress` counts up to: a number, or a regular expression whose first group finds it in a line."),
    ] = None
    time_limit_s: Annotated[TimeLimit | None, about("Seconds after which it is ended. null: no limit of its own.")] = (
        None
    )
    memory_mb: Annotated[
        Annotated[int, Meta(ge=4, le=1 << 20)] | None,
        about("MiB of memory, of all its processes together. null: no limit."),
    ] = None
    cpu_percent: Annotated[
        Annotated[int, Meta(ge=1, le=100_000)] | None,
        about("CPU time of all its processes; 100 is one core. null: no limit."),
    ] = None
    io_weight: Annotated[
        Annotated[int, Meta(ge=1, le=1000)] | None,
        about("Its share of a busy disk, 1 to 1000; others have 100. null: as others."),
    ] = None
    processes: Annotated[
        Annotated[int, Meta(ge=4, le=100_000)] | None,
        about("Processes and threads at once. null: no limit of its own."),
    ] = None
    disk_mb: Annotated[
        Annotated[int, Meta(ge=1, le=1 << 24)] | None,
        about("MiB that it may write into its folder and its checkpoint. null: worker.max_artifact_bytes."),
    ] = None
    network: Annotated[bool, about("true: it may use the network.")] = False
    sandbox: Annotated[
        bool,
        about("false: without bubblewrap, so it may read and write all that the worker may; needs `network: true`."),
    ] = True
    reads: Annotated[tuple[str, ...], about("Files and folders it may read beside the system's programs.")] = ()
    power: Annotated[Power, about("When it may start.")] = Power.NORMAL
    pool: Annotated[Pool, about("main: one at a time; io: beside others, for what waits for disks and networks.")] = (
        Pool.MAIN
    )
    retries: Annotated[Retries, about("How often it is run again when it fails.")] = 0
    scope: Annotated[
        Literal["submit", "run", "admin"], about("The scope that a submitter's token needs; submit: who may submit.")
    ] = "submit"
