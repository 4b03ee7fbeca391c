"""Jinja filter that finds the entries of a list that are not networks."""

from __future__ import annotations

import ipaddress


class FilterModule:
    """Provides the filter to Ansible."""

    def filters(self):
        """Return the filter by its name."""
        return {"edge_no_networks": no_networks}


def no_networks(words):
    """Return the entries of `words` that systemd does not accept as an address or a network."""
    return [str(word) for word in words if not is_network(str(word))]


def is_network(word):
    """Return True for 100.64.0.0/10, 192.0.2.1 and 2001:db8::/48; set bits after the prefix count as a mistake."""
    try:
        ipaddress.ip_network(word)
    except ValueError:
        return False
    return True
