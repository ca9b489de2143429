"""The cluster under the tests: container engine, images, kind, and the Kubernetes API."""
