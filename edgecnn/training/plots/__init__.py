"""Charts and pictures that a training run writes."""
