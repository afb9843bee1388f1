"""What each kind of message means for the records: one function a message type, listed in :mod:`node.hl7.inbound`."""
