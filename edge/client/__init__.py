"""Jobs for a board on the LAN, from Python: `Client().submit("solve", 1, "What is 50 divided by 2?").value()`.

- `client`: submits jobs, waits for them, fetches their files
- `job`: the handle of an accepted job
- `batch`: encodes many submissions for one request
- `schedules`: lists and changes periodic jobs
- `events`: reads changes as they happen, from a stream of the gateway
- `output`: reads the output of a job's program while it runs
- `download`: fetches and checks one file of a result
- `upload`: sends one input file for a job
- `pairing`: pairs this machine with a board, to get a token
- `settings`: finds address and token of the gateway
- `transport`: sends requests, repeats them after a failure, and raises the gateway's errors
- `connection`: HTTP/1.1 over connections that are kept open
"""

from edge.client.batch import BatchRefused
from edge.client.client import Client
from edge.client.job import Job
from edge.client.settings import Settings
from edge.model import InputFile, Schedule
from edge.wire import Event

__all__ = ["BatchRefused", "Client", "Event", "InputFile", "Job", "Schedule", "Settings"]
