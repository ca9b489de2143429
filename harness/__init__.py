"""pytest-bluegreen: put the zero-downtime promise of a blue-green deployment to the test."""

__version__ = "0.1.0"
