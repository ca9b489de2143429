"""Numbers as people read them; what isn't known is a dash."""

from __future__ import annotations

import math

NONE = "–"


def count(value: float | None) -> str:
    """Thousands are grouped: "12,345"."""
    return NONE if value is None else f"{value:,.0f}"


def ms(value: float | None) -> str:
    """Milliseconds with three significant digits: "0.52", "7.1", "84", "1,250"."""
    if value is None or not math.isfinite(value):
        return NONE
    size = abs(value)
    return "0" if size == 0 else f"{value:.2f}" if size < 1 else f"{value:.1f}" if size < 10 else f"{value:,.0f}"


def seconds(value: float | None) -> str:
    """A duration: "0.4 s", "28 s", "18 min 12 s"."""
    if value is None or not math.isfinite(value):
        return NONE
    if value < 10:
        return f"{value:.2g} s" if value < 1 else f"{value:.1f} s"
    whole = round(value)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


def percent(share: float | None) -> str:
    """A share in percent with as many digits as tell it from 0 and from 100."""
    if share is None:
        return NONE
    value = 100 * share
    if value in (0, 100):
        return f"{value:.0f} %"
    digits = 1 if 1 <= value <= 99 else min(6, 1 - math.floor(math.log10(min(value, abs(100 - value)))))
    return f"{value:.{digits}f} %"


def figure(value: float | None, unit: str = "") -> str:
    """A finding's number with its unit: whole ones grouped, others with four significant digits."""
    if value is None:
        return NONE
    text = f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"
    return f"{text} {unit}".strip()


def offset(value_ms: float) -> str:
    """A signed offset from the switch: "+84 ms", "−1.00 s"."""
    sign = "−" if value_ms < 0 else "+"
    size = abs(value_ms)
    return f"{sign}{ms(size)} ms" if size < 1000 else f"{sign}{size / 1000:.2f} s"


def upper(rate: float | None) -> str:
    """An upper bound of a share: rounded up, so that it stays one."""
    if rate is None:
        return NONE
    value = 100 * rate
    if value >= 100 or value <= 0:
        return f"{value:.0f} %"
    digits = 1 if value >= 1 else min(9, 1 - math.floor(math.log10(value)))
    return f"{math.ceil(value * 10**digits) / 10**digits:.{digits}f} %"
