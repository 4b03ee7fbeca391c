"""Makes the generated parts of the reference, each from the code that it describes."""

from __future__ import annotations

from tests.docs.generated import Parts
from tests.docs.reference import codes, commands, configuration, http, job_api, metrics, records, variables

#: Name of a part -> the function that makes its text.
PARTS: Parts = {
    "commands": commands.overview,
    "configuration": configuration.keys,
    "power-keys": configuration.power_keys,
    "sources": configuration.sources,
    "events": records.events,
    "exit-codes": codes.exit_codes,
    "failures": codes.failures,
    "problems": codes.problems,
    "result": records.result,
    "result-parts": records.result_parts,
    "submission": records.submission,
    "job-view": records.job_view,
    "routes": http.routes,
    "job-api": job_api.job,
    "task-api": job_api.task_options,
    "metrics": metrics.metrics,
    "variables": variables.variables,
}
