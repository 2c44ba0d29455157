"""What programs other than asrkit run: bundles of a model, its graph and its tokens."""
