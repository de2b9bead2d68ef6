"""The composition root: what wires rooms together into running things."""
