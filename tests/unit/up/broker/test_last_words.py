"""The one helpful line is found in the output of a broker."""

from __future__ import annotations

from pathlib import Path

from edge.up.broker.last_words import last_words, read_tail

BAD_KEY = """\
2026-11-20 23:17:03.453896+00:00 [error] <0.132.0> You've tried to set no_such_key, but there is no setting.
2026-11-20 23:17:03.520911+00:00 [error] <0.132.0>   - Conf file attempted to set unknown variable: no_such_key

BOOT FAILED
2026-11-20 23:17:03.524539+00:00 [error] <0.132.0> BOOT FAILED
===========
Error during startup: {error,failed_to_prepare_configuration}

Kernel pid terminated (application_controller) ({application_start_failure,rabbitmq_prelaunch,{{shutdown,
"""

BAD_STORE = """\
2026-11-20 23:17:26.129657+00:00 [info] <0.223.0> Feature flags: list of feature flags found:

BOOT FAILED
===========
Error during startup: {error,
                       {{shutdown,
                         {failed_to_start_child,ra_log_sup,
                            {{badmatch,
                              {error,
                               {not_a_dets_file,
                                "/x/store/meta.dets"}}},
                             [{ra_log_meta,init,1}]}}}}

Kernel pid terminated (application_controller)
"""


def test_a_bad_key_is_named() -> None:
    """The first error names the key. The next ones are suggestions, whose order differs from run to run."""
    assert last_words(BAD_KEY).startswith("You've tried to set no_such_key")


def test_the_innermost_error_of_a_failed_boot_comes_first() -> None:
    """The terms around the innermost error only name supervisors."""
    assert last_words(BAD_STORE).startswith('{error,{not_a_dets_file,"/x/store/meta.dets"}}')


def test_anything_else_gives_its_last_line_with_words() -> None:
    """The error of a script is its last line. Lines without words are skipped."""
    assert last_words("exec: erl: not found\n=====\n\n") == "exec: erl: not found"
    assert last_words("") == ""


def test_a_missing_log_reads_as_empty(tmp_path: Path) -> None:
    """A broker that ended before it opened its log is not an error here."""
    assert read_tail(tmp_path / "none") == ""
