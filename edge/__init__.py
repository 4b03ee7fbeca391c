"""A Raspberry Pi as a job appliance: durable queue, power-aware worker, results as files."""

__version__ = "0.1.0"
