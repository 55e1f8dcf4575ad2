"""From the text of a job file to plain values that remember their lines."""
