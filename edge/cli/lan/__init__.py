"""Commands that find and set up boards on the LAN.

- `deploy`: `edge deploy`: the playbook that came with this package
- `discover`: `edge discover`: boards announced by mDNS
"""
