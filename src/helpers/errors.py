"""The exceptions that are meant to be read by a person."""


class UserError(Exception):
    """A mistake the user can put right: one line saying what was found, where, and what to do.

    The command line prints it without a traceback and ends with exit code 2.
    """

    exit_code = 2


class NothingOfUse(UserError):
    """The work was stopped because nothing would have come of it: one line, and exit code 1."""

    exit_code = 1
