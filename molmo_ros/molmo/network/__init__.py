"""The network: torch modules from patches and tokens to scores."""
