"""The same library over the network: one service with one queue, and doors that only translate."""
