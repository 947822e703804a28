"""The site file and the cluster's key."""
