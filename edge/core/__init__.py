"""The ground: what every other part stands on, and nothing of jobs, power or brokers.

- `durable`: files that survive a power cut: written whole, synced, then named
- `errors`: every error raised on purpose, each one line a person can act on
- `host`: facts about the machine
- `layout`: where each file lies: a root that survives a boot, a run folder that does not
- `notify`: sd_notify(3): tells systemd how a process is
- `wakeup`: wakes an event loop from a signal handler or another thread
- `watch`: inotify: the kernel tells of changed files
"""
