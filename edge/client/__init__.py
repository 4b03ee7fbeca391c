"""Jobs for a board on the LAN, from Python: `Client().submit("solve", 1, "What is 50 divided by 2?").value()`.

- `client`: submit jobs, wait for them, fetch their files
- `job`: the handle of an accepted job
- `batch`: many submissions in one request
- `schedules`: periodic jobs
- `events`: changes as they happen, from a stream of the gateway
- `output`: what the program of a job prints, as it comes
- `download`: fetches and checks one file
- `upload`: sends one file for a job
- `pairing`: asks a board to let this machine in
- `settings`: address and token of the gateway
- `transport`: requests, retries and errors of one gateway
- `connection`: HTTP/1.1 over connections that are kept open
"""

from edge.client.batch import BatchRefused
from edge.client.client import Client
from edge.client.job import Job
from edge.client.settings import Settings
from edge.model import InputFile, Schedule
from edge.wire import Event

__all__ = ["BatchRefused", "Client", "Event", "InputFile", "Job", "Schedule", "Settings"]
