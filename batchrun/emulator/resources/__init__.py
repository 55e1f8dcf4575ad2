"""The resources beside interactions: models, token counts, stored agents, environments, webhooks."""
