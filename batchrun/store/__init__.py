"""What has happened in a run: one SQLite file, one writer, every fact durable before the next step."""
