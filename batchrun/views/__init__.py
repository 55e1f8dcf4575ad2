"""What there is to see of a run, as one plain value, from the events of a run or from its checkpoint."""
