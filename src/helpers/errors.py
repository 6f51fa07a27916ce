"""The one exception that is meant to be read by a person."""


class UserError(Exception):
    """A mistake the user can put right: one line saying what was found, where, and what to do.

    The command line prints it without a traceback and ends with exit code 2.
    """
