"""Commands that find, install and pair boards on the LAN.

- `deploy`: `edge deploy` runs the Ansible playbooks of this package
- `discover`: `edge discover` lists the boards that are announced by mDNS
- `machine`: the name of this machine at a board, and the folder of the client's files
- `pair`: `edge pair` asks a board for a token, and stores it with the board's certificate
"""
