"""What units and hosts say to each other: bundles, notices, flow ids (R-A3, R-E9, R-E10)."""
