"""Evidence: what a run left behind, as immutable data and the numbers that follow from it. Pure but for `store`."""
