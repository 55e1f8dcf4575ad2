"""What can be said of a run without touching it: before it (`validate`, `plan`) and afterwards (`show`)."""
