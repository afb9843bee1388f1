"""The DICOM port: connections, associations and messages, one blocking thread each.

===============  ======================================================================================
server           listens, with a thread for every connection
admission        how many associations there may be, over all processes
tls              the secure transport connection profile
wire             reads and writes PDUs of one connection, within its time limits
negotiation      answers A-ASSOCIATE-RQ (pynetdicom's codecs)
session          what belongs to a port, and to one established association
association      one association from its request to its end: PDUs in, messages out
messages         presentation data values in, C-STOREs out
requests         every other request, through node.dicom.services
dimse            command sets and their PDUs
arrival          one object on its way from the wire into the spool
===============  ======================================================================================

pynetdicom negotiates and knows PDUs, command sets and services. What is our own is the way of a C-STORE's data set from
the socket to the disk: it is read to where it is written from, and nothing decodes, queues or copies it in between.
"""
