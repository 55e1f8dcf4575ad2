"""When a job is to run by itself: its slots, and what makes cron, systemd and Kubernetes run it. Pure but for files."""
