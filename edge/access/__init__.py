"""Decides who may use the gateway: bearer tokens, and pairing by a short code.

- `address`: maps addresses to the network that counts as one client when attempts are limited
- `pairing`: requests for access from laptops and browsers, each with a short code
- `tokens`: bearer tokens with scopes, stored as hashes
"""
