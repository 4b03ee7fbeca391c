"""The job kinds that come with the appliance."""

from tasks.solve import solve

__all__ = ["solve"]
