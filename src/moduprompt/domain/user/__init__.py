"""People. The local owner is made at first boot and outlives every token."""
