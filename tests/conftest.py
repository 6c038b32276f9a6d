"""What holds for all tests: property tests are judged by what they find, never by how fast a noisy machine is."""

import os

from hypothesis import settings

# in CI the same examples every time: a failure there must be one that a person can repeat
settings.register_profile("ringfence", deadline=None, derandomize=bool(os.environ.get("CI")), print_blob=True)
settings.load_profile("ringfence")
