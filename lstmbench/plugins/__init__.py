"""Finding plugins, listing them, and starting a new one from a template."""
