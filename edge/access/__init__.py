"""Who may use the gateway.

- `tokens`: bearer tokens with scopes, kept as hashes in one file
"""
