"""Checks: pure rules over a timeline. Importing this package registers all of them."""

from harness.checks import cutover, release, requests, standing, twins  # registered by their import

__all__ = ["cutover", "release", "requests", "standing", "twins"]
