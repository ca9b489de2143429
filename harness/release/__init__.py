"""The release process: which moves are legal, the verbs that make them, the switches that carry them out."""
