"""Jinja filter: what of a list is no network."""

from __future__ import annotations

import ipaddress


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """The filter by its name."""
        return {"edge_no_networks": no_networks}


def no_networks(words):
    """Those of `words` that systemd would not take as an address or a network."""
    return [str(word) for word in words if not is_network(str(word))]


def is_network(word):
    """True for 100.64.0.0/10, 192.0.2.1 and 2001:db8::/48; bits behind the prefix are the owner's mistake."""
    try:
        ipaddress.ip_network(word)
    except ValueError:
        return False
    return True
