"""Errors that end the program with one plain line and a defined exit status."""


class UserError(ValueError):
    """The user's input is wrong; one line that names the option, file or value. Exit status 2."""


class RunFailed(RuntimeError):
    """A run that could not do its job.

    Args:
        message: One line for the user.
        exit_code: 1 when the run failed, 130 after SIGINT, 143 after SIGTERM.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
