"""`check_camera`: looks at live topics as the node would, and says what is wrong and which line cures it."""
