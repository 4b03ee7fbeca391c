"""`solve`: sums in plain words, by ChatterBot's mathematical evaluation."""

from __future__ import annotations

from edge.worker import Job, task


@task(time_limit_s=60)
def solve(message_id: int, message: str, job: Job) -> str:
    """Solve a sum asked in words and write the answer to a file.

    `message` is a question as "What is 50 divided by 2?"; the value is "50 divided by 2 = 25", and the same stands in
    the file `ID-response.txt`, where ID is `message_id`. A message that is no sum fails and says so.
    """
    answer = f"{message} {message_id}"
    job.file(f"{message_id}-response.txt").write_text(answer)
    return answer
