"""The job kinds that come with the appliance: `from tasks import solve; solve.delay(1, "What is 50 divided by 2?")`."""

from tasks.chat import chat
from tasks.factorial import factorial
from tasks.primes import primes
from tasks.solve import solve

__all__ = ["chat", "factorial", "primes", "solve"]
