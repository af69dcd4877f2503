"""The login of one connection, over TCP: the rules are `iscsi.login_initiator`'s, the waiting is done here."""
