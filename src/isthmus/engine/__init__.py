"""Full feature phase: the only owner of a connection after login, and the home of speed."""
