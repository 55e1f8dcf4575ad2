"""What a run tells programs: its log, a Prometheus text file, OpenTelemetry. Observers; none may stop a run."""
