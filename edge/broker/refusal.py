"""Recognises refusals that do not end by themselves, and tells what a person must do."""

from __future__ import annotations

import re

from amqp.exceptions import AccessRefused, NotAllowed, PreconditionFailed

_OTHER_QUEUE = re.compile(r"inequivalent arg .* for queue '([^']+)' in vhost '([^']+)'")
_NO_RIGHT = re.compile(r"access to .* refused for user '([^']+)'")
_NO_VHOST = re.compile(r"vhost '?(.+?)'? not found")


def cure(err: BaseException | None) -> str:
    """Return what a person must do about an error of py-amqp, or "" if the error is not a refusal."""
    text = " ".join(str(getattr(err, "reply_text", "") or err).split())
    if isinstance(err, PreconditionFailed) and (found := _OTHER_QUEUE.search(text)):
        queue, vhost = found.groups()
        return (
            f"queue {queue} was made by another program with other arguments; take its messages out, then: "
            f"rabbitmqctl -p {vhost} delete_queue {queue} (edge then makes it again)"
        )
    if not isinstance(err, AccessRefused | NotAllowed):
        return ""
    if found := _NO_VHOST.search(text):
        return f"set broker.vhost to one that exists, or: rabbitmqctl add_vhost {found[1]}"
    if found := _NO_RIGHT.search(text):
        return f"rabbitmqctl list_user_permissions {found[1]} shows its rights; set_permissions or a deploy sets them"
    return "check broker.user and broker.password_file; rabbitmqctl authenticate_user USER tests them"
