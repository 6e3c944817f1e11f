"""One small tree of errors. A message says what was wrong, with the value, and what to do about it."""

from __future__ import annotations


class HaneulError(Exception):
    """Base of everything that Haneul raises on purpose. `exit_code` is what the command line returns for it."""

    exit_code = 1


class InputError(HaneulError):
    """The caller gave something that cannot be used: a prompt, a size, a file, an option."""

    exit_code = 2


class OutputError(HaneulError):
    """The result could not be written."""

    exit_code = 3


class CheckpointError(HaneulError):
    """Weights are missing, damaged, or of another shape than their card says."""

    exit_code = 4


class CredentialError(HaneulError):
    """A certificate, key or manifest cannot be used."""

    exit_code = 5


class WorldError(HaneulError):
    """The simulated world cannot make what was asked for."""

    exit_code = 6


class TrainingError(HaneulError):
    """Training cannot start or go on."""

    exit_code = 7


class RefusedError(HaneulError):
    """The screen refuses what was asked for (haneul/screen). `code` is the category's name, such as "gore"."""

    exit_code = 8

    def __init__(self, message: str, code: str = "other") -> None:
        super().__init__(message)
        self.code = code
