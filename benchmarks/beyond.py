"""Locustfile: loadtests/steady.py with the plan's bound on the rate lifted, to find where the generator itself ends."""

from __future__ import annotations

from harness.client import plan

# The bound protects a service under test; here the server is a toy and the question is the generator's own limit.
setattr(plan, "MAX_RATE", 1e6)  # noqa: B010

from loadtests import steady  # noqa: E402

for _name in steady.generator.plan.classes:
    globals()[_name] = getattr(steady, _name)
