"""`tieline dev`: the whole system on one machine, its processes, ports and broker."""
