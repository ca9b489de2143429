"""The checkout's own tests use the plugin without being installed."""

pytest_plugins = ["harness.plugin"]
