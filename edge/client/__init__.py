"""Jobs for a board on the LAN, from Python: `Client().submit("solve", 1, "What is 50 divided by 2?").value()`."""

from edge.client.batch import BatchRefused
from edge.client.client import Client
from edge.client.job import Job
from edge.client.settings import Settings
from edge.wire import Event

__all__ = ["BatchRefused", "Client", "Event", "Job", "Settings"]
