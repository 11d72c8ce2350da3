"""One promise of a contract, and how it is broken."""

from collections.abc import Callable
from dataclasses import dataclass


class ContractError(ValueError):
    """A promise that does not hold; the message says what was seen and what is expected."""


@dataclass(frozen=True)
class Check:
    """One promise.  Calling it raises ContractError, or whatever the checked object raises, where it does not hold."""

    promise: str
    verify: Callable[[], None]

    def __call__(self) -> None:
        """Run the check."""
        self.verify()

    def __str__(self) -> str:
        return self.promise


def expect(holds: bool, message: str) -> None:
    """ContractError with this message unless it holds."""
    if not holds:
        raise ContractError(message)
