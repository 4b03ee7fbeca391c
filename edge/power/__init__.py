"""Senses power, decides what may run, and says so in `run/power.json`: sources -> policy -> governor."""
