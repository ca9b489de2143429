"""Checks: pure rules over a timeline. Importing this package registers all of them."""

from harness.checks import arrivals, cutover, delays, faults, release, requests, standing, twins

__all__ = ["arrivals", "cutover", "delays", "faults", "release", "requests", "standing", "twins"]
