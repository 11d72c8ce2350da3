"""The exception of a launch that is ended from outside; imports nothing, so that the command line stays light."""


class Stopped(BaseException):
    """The launch ends before its trials have ended; the text says why, the command exits with 3.

    A BaseException: neither Ray nor code that retries on errors catches it.
    """
