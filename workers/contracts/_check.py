"""One check of a contract, and the error that it raises."""

from collections.abc import Callable
from dataclasses import dataclass


class ContractError(ValueError):
    """A requirement is not met; the message says what was seen and what is expected."""


@dataclass(frozen=True)
class Check:
    """One requirement.  Calling it raises ContractError if it is not met, or any exception of the checked object."""

    promise: str
    verify: Callable[[], None]

    def __call__(self) -> None:
        """Run the check."""
        self.verify()

    def __str__(self) -> str:
        return self.promise


def expect(holds: bool, message: str) -> None:
    """Raise ContractError with this message unless `holds` is true."""
    if not holds:
        raise ContractError(message)
