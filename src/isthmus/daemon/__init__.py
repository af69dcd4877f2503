"""The daemon: a server with a saved configuration and a control socket."""
