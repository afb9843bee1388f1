"""Campaigns: attacks on the receiver and the HL7 port that take minutes, each with a short version in the suite.

===========  =======================================================================================
kill         processes are killed at random moments, and power cuts imitated: nothing answered is lost
fuzz         mutated associations, messages and data sets, and the codecs under hypothesis
torture      hundreds of connections, slow and silent peers, a full disk: others are served
hl7_fuzz     mutated frames and HL7 messages: each is answered by the book and ends in the records
traffic      a hospital twice, undisturbed and disturbed: both nodes know the same, each report arrives once
===========  =======================================================================================

``make campaigns``, or ``python -m tests.campaigns.kill --help``. Each is bounded in time and count, uses the loopback
interface only, prints its figures as JSON with ``--json``, and ends with status 1 if a promise was broken.
"""
