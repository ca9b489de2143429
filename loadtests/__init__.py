"""Locustfiles, one per kind of load: the only import of locust. Each runs as a child process of the harness."""
