"""What every kind of test needs."""

from __future__ import annotations

import os

from hypothesis import settings

__all__: list[str] = []

# No deadline: two test runs may share two cores. No surprises in CI: it runs the same examples
# each time, and people's own runs go on looking for others.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
