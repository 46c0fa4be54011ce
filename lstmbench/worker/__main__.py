"""The worker process, started as `python -m lstmbench.worker`.

Requests come on standard input and replies go to standard output; whatever a library prints goes
to standard error instead.
"""

import os
from typing import BinaryIO

from lstmbench.host import frames
from lstmbench.host.processes import die_with_parent
from lstmbench.interface.errors import UsageError, headline, out_of_memory, told_traceback
from lstmbench.protocol import wire
from lstmbench.protocol.messages import Open, Raised
from lstmbench.worker.session import Session


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    requests, replies = _take_streams()
    die_with_parent()
    session: Session | None = None
    try:
        while (data := frames.read(requests.read)) is not None:
            request = wire.decode_request(data)
            if isinstance(request, Open):
                session = None  # one that was there makes room first
                session = Session(request)
                wire.send(replies, session.opened)
            elif session:
                for reply in session.answer(request):
                    wire.send(replies, reply)
    except BrokenPipeError:
        os._exit(1)  # the parent is gone: nobody is left to tell
    except BaseException as error:
        wire.send(replies, _raised(error))
        os._exit(1)
    os._exit(0)  # at once: there is nothing to save, and libraries take their time to shut down


def _take_streams() -> tuple[BinaryIO, BinaryIO]:
    """Return the two pipes, moved away from where a library could print into them."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    return requests, replies


def _raised(error: BaseException) -> Raised:
    """Return the message that tells the parent of an exception."""
    if isinstance(error, UsageError):
        return Raised(kind="refused", message=str(error), traceback="")
    told = told_traceback()
    if out_of_memory(error):
        return Raised(kind="out of memory", message=headline(error), traceback=told)
    if isinstance(error, FloatingPointError):
        return Raised(kind="not finite", message=headline(error), traceback=told)
    return Raised(kind="raised", message=headline(error), traceback=told)


if __name__ == "__main__":
    main()
