"""What presence and routers are asked on behalf of connections: how sessions begin, live and end here."""
