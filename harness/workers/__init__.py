"""Load from inside the cluster: Locust's master and workers as pods of a Job, with one clock and one ledger."""
