"""The few errors that people see: each names the thing and the mend."""

from __future__ import annotations

__all__ = ["PointsmanError", "SiteError", "SystemRefusal"]


class PointsmanError(Exception):
    """Something the operator can mend.

    `what` names the thing that is wrong, `mend` says what to do; both are one line. The command
    line prints them and exits with status 2.
    """

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(f"{what}; {mend}")
        self.what = what
        self.mend = mend


class SiteError(PointsmanError):
    """The site file is wrong: `what` begins with file, line and key."""


class SystemRefusal(PointsmanError):
    """The machine lacks something, or the kernel refused: privilege, feature, interface."""
