"""Requests on their way in: from the topic, the services, the action and the parameter, through one queue."""
