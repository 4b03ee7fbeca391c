"""Holds code that every other package uses. It depends on no other package of `edge`, and knows no jobs or power.

- `backoff`: the pause after each failure in a row
- `clock`: decides if the wall clock can be trusted
- `durable`: writes files that survive a power cut: content first, then a sync, then the name
- `duplicates`: finds a name that occurs twice in one JSON object
- `errors`: every error that the program raises on purpose, each with one line for a person; checks of internal
  guarantees, which `python -O` does not remove
- `host`: facts about the machine: id of the boot, state of a process
- `layout`: the path of each file: a root that survives a boot, a run folder that does not
- `mounts`: finds the file system of a path, and says if a power cut loses it
- `notify`: reports the state of a process to systemd by sd_notify(3)
- `ordered`: syncs content and name with one commit, on file systems that keep the order of changes
- `rfc3339`: reads and writes times as text, with their offset from UTC
- `stored`: reads files of JSON that a part of `edge` has written, with one error for any bad content
- `template`: parses and fills the placeholders in a word of a command line
- `text`: durations, times and sizes as text for people
- `trees`: removes a folder that a job's program has filled
- `values`: the types of values that JSON can hold
- `wakeup`: wakes a loop from a signal handler or another thread
- `watch`: reports changes in folders, by inotify
"""
