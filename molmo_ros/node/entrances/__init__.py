"""Where requests come in: the topic, the services and the action."""
