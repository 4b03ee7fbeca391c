"""What a question can be refused for."""

from __future__ import annotations


class NotASum(ValueError):
    """The message holds no sum that can be read in one way and worked out."""


class TooLarge(ValueError):
    """The sum has a part that no small board should work out."""
