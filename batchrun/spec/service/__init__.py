"""What the service takes, refuses and ignores of a job's settings, as facts and rules. Nothing here is sent."""
