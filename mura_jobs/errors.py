"""The errors that end a stage, each with the exit code that tells Kubernetes whether to try again."""


class MuraError(Exception):
    """Something went wrong that another attempt may survive, such as a bucket that was away for long."""

    exit_code: int = 1


class ConfigError(MuraError, ValueError):
    """The configuration can't work: never retried. The message names field, value and what is allowed."""

    exit_code = 64


class InputError(MuraError, ValueError):
    """The input can't be used: never retried. The message names the object and what was expected of it."""

    exit_code = 65


class Stopped(MuraError):
    """Stopped by SIGTERM after saving everything worth keeping: retried, and continued from there."""

    exit_code = 143
