"""Media that come with a request: opened, measured, and turned down if they are not what they say they are."""
