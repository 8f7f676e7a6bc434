"""What the steps of workflows raise."""


class NonRetryableError(Exception):
    """A step that raises it is not tried again."""

    def __init__(self, message: str = "", name: str = "NonRetryableError") -> None:
        super().__init__(message)
        #: What it is called in the workflow's status.
        self.name = name
