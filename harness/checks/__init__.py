"""Checks: pure rules over a timeline. Importing this package registers all of them."""

from harness.checks import (  # registered by their import
    arrivals,
    cutover,
    delays,
    release,
    requests,
    standing,
    streams,
    twins,
)

__all__ = ["arrivals", "cutover", "delays", "release", "requests", "standing", "streams", "twins"]
