"""Defines the errors with which a question is refused."""

from __future__ import annotations


class NotASum(ValueError):
    """The message has no sum, a sum that can be read in several ways, or a sum without a value."""


class TooLarge(ValueError):
    """The sum is too long, or has a part that takes a small board too long to work out."""
