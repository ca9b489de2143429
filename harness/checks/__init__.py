"""Checks: pure rules over a timeline. Importing this package registers all of them."""

from harness.checks import arrivals, caught, cutover, delays, release, requests, standing, twins  # by their import

__all__ = ["arrivals", "caught", "cutover", "delays", "release", "requests", "standing", "twins"]
