"""What every other package uses. Knows nothing of jobs, power or brokers.

- `backoff`: the pause between tries that fail
- `clock`: whether the wall clock can be believed
- `durable`: files that survive a power cut: written whole, synced, then named
- `duplicates`: finds a name that one JSON object has twice
- `errors`: every error raised on purpose, each one line a person can act on; checks of what the program itself
  promises, which survive `python -O`
- `host`: facts about the machine
- `layout`: the path of each file: a root that survives a boot, a run folder that does not
- `mounts`: which file system a path lies on, and whether a power cut takes it
- `notify`: sd_notify(3): tells systemd how a process is
- `ordered`: file systems where one commit makes content and name durable
- `rfc3339`: times as text, with their offset from UTC
- `template`: a word of a command line with holes that are filled in
- `text`: durations and sizes as text for people
- `trees`: removes a folder that a program has filled
- `values`: the types of what JSON carries
- `wakeup`: wakes a loop from a signal handler or another thread
- `watch`: changes in folders, by inotify
"""
