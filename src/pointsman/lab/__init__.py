"""A whole site on one machine, as network namespaces: for the demo, the tests and the bench."""
