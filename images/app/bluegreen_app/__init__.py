"""The demo application: a small service that can be deployed, drained, broken on purpose and held to account."""
