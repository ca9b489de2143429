"""The stock scenarios: ``pytest scenarios/``, or installed ``pytest --pyargs harness.scenarios``."""
