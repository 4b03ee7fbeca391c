"""Commands that find and set up boards on the LAN.

- `deploy`: `edge deploy`: the playbook that came with this package
- `discover`: `edge discover`: boards announced by mDNS
- `machine`: what this machine is called, and where its files are
- `pair`: `edge pair`: lets a board know this machine
"""
