"""The host's daemon: undoes the tunnel and uploads connections, in front of the application."""
