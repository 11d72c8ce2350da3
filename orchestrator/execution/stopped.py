"""How a launch that is ended from outside says so; imports nothing, so that the command line can know it."""


class Stopped(BaseException):
    """The launch ends before its trials have ended; the text says why, the command exits with 3.

    No Exception: neither Ray nor a library that tries once more takes it for a failure of its own.
    """
