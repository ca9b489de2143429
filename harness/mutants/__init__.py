"""Broken releases that the gate must catch: a folder of manifests/mutants/ each, with a patch and a mutant.toml."""
