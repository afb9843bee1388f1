"""HL7 messages: the report as ORU, alerts, and what a destination wants in them."""
