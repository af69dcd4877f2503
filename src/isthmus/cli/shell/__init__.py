"""`isthmus shell`: targetcli's tree and commands, on the library that is under targetcli (configshell-fb).

A command fetches nothing but what it shows: the tree is a picture of the daemon's configuration. What changes something
is an edit from `management`, whose result the daemon is asked to run.
"""
