"""A service level objective, as it is written on a command line."""

from __future__ import annotations

import argparse
from decimal import Decimal, InvalidOperation


def objective(text: str) -> float:
    """A service level objective in percent, as the share that it means: "99.9" is 0.999.

    Raises:
        argparse.ArgumentTypeError: no number, or none between 0 and 100.

    """
    try:
        percent = Decimal(text.strip().removesuffix("%").strip())
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage: write one like 99.9") from None
    if not percent.is_finite() or not 0 < percent < 100:
        raise argparse.ArgumentTypeError(f"{text} leaves no error budget to burn: write a percentage like 99.9")
    if percent <= 1:
        raise argparse.ArgumentTypeError(f"{text} is a share, not a percentage: did you mean {float(100 * percent):g}?")
    return float(percent / 100)
