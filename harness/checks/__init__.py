"""Checks: pure rules over a timeline. Importing this package registers all of them."""

from harness.checks import (  # registered by their import
    arrivals,
    caught,
    cutover,
    delays,
    faults,
    half_open,
    identified,
    keepalive,
    probes,
    release,
    requests,
    sockets,
    standing,
    streams,
    twins,
    workers,
)

__all__ = [
    "arrivals",
    "caught",
    "cutover",
    "delays",
    "faults",
    "half_open",
    "identified",
    "keepalive",
    "probes",
    "release",
    "requests",
    "sockets",
    "standing",
    "streams",
    "twins",
    "workers",
]
