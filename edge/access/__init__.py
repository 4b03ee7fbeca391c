"""Who may use the gateway.

- `pairing`: requests of laptops and browsers to be let in, each with a short code
- `tokens`: bearer tokens with scopes, kept as hashes
"""
