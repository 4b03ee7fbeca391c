"""Who may use the gateway.

- `address`: what counts as one address where tries are counted
- `pairing`: requests of laptops and browsers to be let in, each with a short code
- `tokens`: bearer tokens with scopes, kept as hashes
"""
