"""Everything a kind cluster is made of, built from package registries where no image registry answers."""
