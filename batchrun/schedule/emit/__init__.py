"""What makes cron, systemd and Kubernetes start `batchrun tick` every few minutes: text for their files. Pure.

The tick itself decides by the job's schedule what is due, so none of them has to know time zones or clock changes.
"""
