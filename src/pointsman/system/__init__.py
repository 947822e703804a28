"""The machine we run on: links, addresses, neighbours, sysctls, and what we changed of them."""
