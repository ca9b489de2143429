"""The causes that a diagnosis may name. Importing this package registers all of them."""

from harness.diagnosis.rules import (
    objects,
    proxy,
    rollout,
    running,
    shutdown,
    steps,
    switch,
)  # registered by their import

__all__ = ["objects", "proxy", "rollout", "running", "shutdown", "steps", "switch"]
