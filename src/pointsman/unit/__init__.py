"""The unit's daemon: forwarder and classifier on one machine (R-A1)."""
