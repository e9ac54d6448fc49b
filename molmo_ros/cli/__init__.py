"""The command line `molmo-ros`, one file per subcommand."""
