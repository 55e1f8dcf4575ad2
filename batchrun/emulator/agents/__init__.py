"""The service's own agents: what they do with a prompt."""
